using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Kvasir.Cli.LocalClusters;

/// <summary>Ports of the loopback that nobody has at this moment.</summary>
internal static class FreePorts
{
    public const string SystemsRange = "/proc/sys/net/ipv4/ip_local_port_range";

    private const int First = 10_000;
    private const int UsualEnd = 32_768;
    private const int TriesMax = 100;

    /// <summary>
    /// All different, and none that the system gives to whoever asks for any port, for a listener or a connection: a node begins to listen
    /// some time after its port was chosen, and one that was away for a while is to find its own again.
    /// </summary>
    public static int[] Take(int count)
    {
        List<Socket> probes = [];
        try
        {
            int end = End();
            while (probes.Count < count)
                probes.Add(Probe(end));
            return [.. probes.Select(static p => ((IPEndPoint)p.LocalEndPoint!).Port)];
        }
        finally
        {
            foreach (Socket probe in probes)
                probe.Dispose();
        }
    }

    /// <summary>One that listens, so that nobody else takes its port for free.</summary>
    private static Socket Probe(int end)
    {
        for (int tries = 1; ; tries++)
        {
            // Where all of them seem to be taken, any will do.
            int port = tries <= TriesMax && First < end ? RandomNumberGenerator.GetInt32(First, end) : 0;
            Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                probe.Listen();
                return probe;
            }
            catch (SocketException) when (tries <= TriesMax)
            {
                probe.Dispose();
            }
            catch
            {
                probe.Dispose();
                throw;
            }
        }
    }

    /// <summary>The first port of the system's own range.</summary>
    private static int End()
    {
        try
        {
            return int.Parse(File.ReadAllText(SystemsRange).Split('\t')[0], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return UsualEnd;
        }
    }
}
