using System.Globalization;
using System.Net.Sockets;
using Kvasir.Cli.Shell;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>A server that the system gives little: files, memory.</summary>
public sealed class LimitTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-limits-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1024, 100, 17, 0, 11, 0, 621)]
    [InlineData(1024, 100, 17, 64, 10, 64, 574)]
    [InlineData(400, 100, 3, 64, 17, 30, 159)]
    [InlineData(256, 130, 17, 64, 4, 1, 1)]
    [InlineData(1_000_000, 100, 17, 64, 1000, 64, 982_720)]
    [InlineData(long.MaxValue, 100, 17, 64, 1000, 64, int.MaxValue)]
    public void FilesAreSharedBetweenTablesAndConnections(long limit, int open, int engines, int wanted, int tables, int http, int clients) =>
        Assert.Equal(new OpenFileShares(tables, http, clients), OpenFileShares.Of(limit, open, engines, wanted));

    [Fact]
    public async Task MoreClientsThanFilesTakeNothingFromTheDisk()
    {
        const int Arriving = 600;
        string[] under = ["sh", "-c", "ulimit -n 400 && exec \"$@\"", "sh"];
        string value = new('v', 100_000);
        List<RespConnection> served = [];
        try
        {
            using RunningServer server = await RunningServer.StartUnder(under, _folder, "--memory-mib", "32", "--databases", "2");
            int refused = 0;
            for (int i = 0; i < Arriving; i++)
            {
                RespConnection client = server.Connect();
                if (TryPing(client, out string? reply))
                {
                    served.Add(client);
                    continue;
                }

                Assert.Equal("-ERR max number of clients reached", reply);
                client.Dispose();
                refused++;
            }

            Assert.True(served.Count > 50 && refused > 100, $"{served.Count} are served, {refused} refused");

            // Segments, tables and manifests are made while every connection that there may be is open.
            for (int i = 0; i < 600; i++)
                Assert.Equal("OK", served[i % served.Count].Ask("SET", Key(i), value));
            for (int i = 0; i < 600; i++)
                Assert.Equal(value, served[i % served.Count].Ask("GET", Key(i)));
            served[0].Dispose();
            served.RemoveAt(0);
            Tools.Until(
                () =>
                {
                    using RespConnection another = server.Connect();
                    return TryPing(another, out _);
                },
                "one goes, another comes");
            Assert.Equal(0, await server.Terminate());
        }
        finally
        {
            foreach (RespConnection client in served)
                client.Dispose();
        }

        using RunningServer again = await RunningServer.Start(_folder, "--memory-mib", "32", "--databases", "2");
        using RespConnection reader = again.Connect();
        for (int i = 0; i < 600; i++)
            Assert.Equal(value, reader.Ask("GET", Key(i)));
    }

    [Fact]
    public async Task ThousandsOfIdleClientsAndTheLargestValuesFitIntoLittleMemory()
    {
        // 640 MiB of heap in all; what engines hold lies outside, and has a budget of its own.
        string[] under = ["env", "DOTNET_GCHeapHardLimit=0x28000000"];
        using RunningServer server = await RunningServer.StartUnder(under, _folder, "--memory-mib", "128", "--durability", "none");
        List<Socket> idle = [];
        try
        {
            // Both sides of a connection are files, in two processes with the same limit.
            int clients = Math.Min(9_900, OpenFileShares.Of(1, 0).Clients - 500);
            for (int i = 0; i < clients; i++)
            {
                Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
                idle.Add(socket);
                socket.Connect(server.Address.Resolve(), server.Address.Port);
            }

            string value = new('v', 64 << 20);
            using RespConnection client = server.Connect();
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal("OK", client.Ask("SET", "large", value));
                Assert.Equal(value.Length, client.Ask("GET", "large").Length);
            }

            Assert.Equal("-ERR Protocol error: invalid bulk length", client.Ask("SET", "large", value + "x"));
            client.Dispose();
            using RespConnection another = server.Connect();
            string expected = "connected_clients:" + (clients + 1).ToString(CultureInfo.InvariantCulture);
            Tools.Until(() => another.Ask("INFO", "clients").Contains(expected, StringComparison.Ordinal), "all others are there");
            Assert.Equal(0, await server.Terminate());
        }
        finally
        {
            foreach (Socket socket in idle)
                socket.Dispose();
        }
    }

    private static bool TryPing(RespConnection client, out string? reply)
    {
        try
        {
            reply = client.Ask("PING");
            return reply == "PONG";
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // Refused, closed and reset before the question arrived: then the reason may be lost.
            reply = "-ERR max number of clients reached";
            return false;
        }
    }

    private static string Key(int number) => "key" + number.ToString(CultureInfo.InvariantCulture);
}
