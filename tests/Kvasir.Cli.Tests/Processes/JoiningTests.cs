using Kvasir.Cli.Administration;
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
        Assert.Equal(3, ClusterSurvey.AskOne(first.Address, password: null, TimeSpan.FromSeconds(10)).Nodes.Count);
        Assert.Single(ClusterSurvey.AskOne(plain.Address, password: null, TimeSpan.FromSeconds(10)).Nodes);
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

    private static string[] Flags(string[] flags) =>
        ["--resp-advertise", "127.0.0.1:1", "--memory-mib", "128", "--log-level", "warning", .. flags.Contains("--peer") ? Array.Empty<string>() : ["--peer", "127.0.0.1:0"], .. flags];

    private static string PeerOf(RunningServer server)
    {
        string? peer = null;
        Tools.Until(
            () => (peer = ClusterSurvey.AskOne(server.Address, password: null, TimeSpan.FromSeconds(10)).Nodes.FirstOrDefault(n => n.Id == 1)?.Peer) is not null,
            "the first node knows where it is");
        return peer!;
    }

    private static void AwaitHealth(RunningServer server) => Tools.Until(
        () =>
        {
            NodeAnswer answer = ClusterSurvey.AskOne(server.Address, password: null, TimeSpan.FromSeconds(10));
            return answer.Nodes.Count == 3 && answer.Problems.Count == 0;
        },
        "the cluster has three copies of everything");

    private Task<RunningServer> Start(string name, string[] flags) => RunningServer.Start(Path.Combine(_folder, name), Flags(flags));
}
