using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Kvasir.Cli.LocalClusters;

/// <summary>Ports of the loopback that nobody has at this moment, and that nobody who chooses in the same way gets while this process lives.</summary>
internal static class FreePorts
{
    public const string SystemsRange = "/proc/sys/net/ipv4/ip_local_port_range";

    private const int First = 10_000;
    private const int UsualEnd = 32_768;
    private const int TriesMax = 100;

    // Names that are nobody's files: they go with their process, as its ports do.
    private static readonly List<Socket> s_reserved = [];

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
                if (port != 0)
                    Reserve(port);
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

    /// <summary>Two clusters that are started at once must not choose the same before either has come to use it.</summary>
    /// <exception cref="SocketException">Somebody else has chosen it.</exception>
    private static void Reserve(int port)
    {
        if (!OperatingSystem.IsLinux())
            return;
        Socket name = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            name.Bind(new UnixDomainSocketEndPoint(string.Create(CultureInfo.InvariantCulture, $"\0kvasir-port-{port}")));
        }
        catch
        {
            name.Dispose();
            throw;
        }

        lock (s_reserved)
            s_reserved.Add(name);
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
