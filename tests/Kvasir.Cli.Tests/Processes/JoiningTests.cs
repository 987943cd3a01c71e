using Kvasir.Cli.Administration;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Who gets into a cluster of real servers, who does not, and what people are told of it.</summary>
public sealed class JoiningTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-joining-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task NodesOfOneAuthorityMakeAClusterAndNobodyElseGetsIn()
    {
        using PeerAuthority ours = new(_folder + "/ours"), others = new(_folder + "/others");
        using RunningServer first = await Start("first", ours.FlagsFor("first"));
        string seed = PeerOf(first);
        using RunningServer second = await Start("second", [.. ours.FlagsFor("second"), "--join", seed]);
        using RunningServer third = await Start("third", [.. ours.FlagsFor("third"), "--join", seed]);
        AwaitHealth(first);
        using RespConnection here = first.Connect(), there = third.Connect();
        for (int i = 0; i < 20; i++)
            Tools.Until(() => here.Ask("SET", $"key{i}", $"{i}") == "OK", "it is written");
        for (int i = 0; i < 20; i++)
            Tools.Until(() => there.Ask("GET", $"key{i}") == $"{i}", "it is there");

        using RunningServer stranger = await Start("stranger", [.. others.FlagsFor("stranger"), "--join", seed]);
        using RunningServer bare = await Start("bare", ["--join", seed]);
        Tools.Until(() => stranger.Errors.Contains($"not in the cluster yet: {seed}: ", StringComparison.Ordinal), "the stranger says that it is not let in");
        Tools.Until(() => bare.Errors.Contains($"not in the cluster yet: {seed}: ", StringComparison.Ordinal), "the one without a certificate says so, too");
        Assert.Contains("TLS", stranger.Errors, StringComparison.Ordinal);

        // And the other way about: who has certificates does not speak in the clear.
        using RunningServer plain = await Start("plain", []);
        using RunningServer careful = await Start("careful", [.. ours.FlagsFor("careful"), "--join", PeerOf(plain)]);
        Tools.Until(() => careful.Errors.Contains("not in the cluster yet", StringComparison.Ordinal), "it says what it waits for");
        Assert.Equal(3, ClusterSurvey.AskOne(first.Address, password: null, Tools.Patience).Nodes.Count);
        Assert.Single(ClusterSurvey.AskOne(plain.Address, password: null, Tools.Patience).Nodes);
        Assert.Equal(0, await careful.Terminate());
        Assert.Equal(0, await third.Terminate());
    }

    [Fact]
    public async Task ANodeThatTheClusterWillNotHaveEndsAndSaysWhy()
    {
        using RunningServer first = await Start("first", []);
        string seed = PeerOf(first);

        // As one that has lost its folder, where the cluster was not told: at this address it waits for the one it knows.
        using RunningServer again = RunningServer.Begin([], _folder + "/again", Flags(["--peer-advertise", seed, "--join", seed.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)]));
        Assert.Equal(2, await again.End());
        Assert.Contains($"{seed} is the address of node 1, which is active: if its folder is lost, drain it first (node drain 1)", again.Errors, StringComparison.Ordinal);
        string line = Assert.Single(again.Errors.Trim().Split('\n'), l => !l.Contains(" warn: ", StringComparison.Ordinal));
        Assert.StartsWith("kvasir: ", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFolderOfAnotherClusterIsTurnedAwayEvenIfItCouldServeAlone()
    {
        using RunningServer first = await Start("first", []);
        using (RunningServer other = await Start("other", []))
        {
            PeerOf(other);
            Assert.Equal(0, await other.Terminate());
        }

        using RunningServer again = RunningServer.Begin([], _folder + "/other", Flags(["--join", PeerOf(first)]));
        Assert.Equal(2, await again.End());
        Assert.Contains("kvasir: the folder is of another cluster than the addresses to join", again.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NodesComeBackWithEachOthersAddresses()
    {
        string[] names = ["first", "second", "third"], peers = new string[3];

        // Free also while they are away.
        int[] ports = FreePorts.Take(3);
        RunningServer[] servers = new RunningServer[3];
        try
        {
            for (int i = 0; i < 3; i++)
            {
                servers[i] = await Start(names[i], ["--peer", $"127.0.0.1:{ports[i]}", .. i == 0 ? Array.Empty<string>() : ["--join", peers[0]]]);
                peers[i] = PeerOf(servers[i], i + 1);
            }

            AwaitHealth(servers[0]);
            using (RespConnection client = servers[0].Connect())
                Tools.Until(() => client.Ask("SET", "key", "value") == "OK", "it is written");
            foreach (RunningServer server in servers)
            {
                server.Kill();
                server.Dispose();
            }

            string join = string.Join(',', peers);
            for (int i = 0; i < 3; i++)
                servers[i] = await Start(names[i], ["--peer", peers[(i + 1) % 3], "--join", join]);
            foreach (RunningServer server in servers)
            {
                using RespConnection client = server.Connect();
                Tools.Until(() => client.Ask("GET", "key") == "value", "it is there");
                AwaitHealth(server);
            }

            for (int i = 0; i < 3; i++)
                Assert.Equal(peers[(i + 1) % 3], PeerOf(servers[0], i + 1));
        }
        finally
        {
            foreach (RunningServer? server in servers)
                server?.Dispose();
        }
    }

    [Fact]
    public async Task AnOlderCopyOfAFolderEndsAndSaysSo()
    {
        string seed = "", peer = $"127.0.0.1:{FreePorts.Take(1)[0]}";
        RunningServer[] servers = new RunningServer[3];
        try
        {
            for (int i = 0; i < 3; i++)
            {
                servers[i] = await Start($"node-{i}", i == 0 ? [] : i == 1 ? ["--join", seed] : ["--peer", peer, "--join", seed]);
                seed = PeerOf(servers[0]);
            }

            AwaitHealth(servers[0]);
            Assert.Equal(peer, PeerOf(servers[2], 3));
            Assert.Equal(0, await servers[2].Terminate());
            Assert.Equal(0, Tools.Run("cp", "-a", _folder + "/node-2", _folder + "/copy"));
            servers[2].Dispose();
            servers[2] = await Start("node-2", ["--peer", peer, "--join", seed]);
            AwaitHealth(servers[0]);
            using (RespConnection client = servers[0].Connect())
            {
                for (int i = 0; i < 200; i++)
                    Tools.Until(() => client.Ask("SET", $"key{i}", "value") == "OK", "it is written");
            }

            AwaitHealth(servers[2]);
            Assert.Equal(0, await servers[2].Terminate());
            using RunningServer copy = RunningServer.Begin([], _folder + "/copy", Flags(["--peer", peer, "--join", seed]));
            Assert.Equal(2, await copy.End());
            Assert.Contains("kvasir: the folder is an older copy of node 3's", copy.Errors, StringComparison.Ordinal);
        }
        finally
        {
            foreach (RunningServer? server in servers)
                server?.Dispose();
        }
    }

    private static string[] Flags(string[] flags) =>
        ["--resp-advertise", "127.0.0.1:1", "--memory-mib", "128", "--log-level", "warning", .. flags.Contains("--peer") ? Array.Empty<string>() : ["--peer", "127.0.0.1:0"], .. flags];

    private static string PeerOf(RunningServer server, int node = 1)
    {
        string? peer = null;
        Tools.UntilTold(
            () => (peer = ClusterSurvey.AskOne(server.Address, password: null, Tools.Patience).Nodes.FirstOrDefault(n => n.Id == node)?.Peer) is not null,
            "it is known where the node is");
        return peer!;
    }

    private static void AwaitHealth(RunningServer server) => Tools.UntilTold(
        () =>
        {
            NodeAnswer answer = ClusterSurvey.AskOne(server.Address, password: null, Tools.Patience);
            return answer.Nodes.Count == 3 && answer.Problems.Count == 0;
        },
        "the cluster has three copies of everything");

    private Task<RunningServer> Start(string name, string[] flags) => RunningServer.Start(Path.Combine(_folder, name), Flags(flags));
}
