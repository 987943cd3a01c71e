using System.Diagnostics;
using System.Globalization;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Whole clusters of real processes, as <c>kvasir up --nodes 3</c> starts them.</summary>
public sealed class ClusterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-cluster-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task AnyNodeServesEveryKeyAndAnyMayDie()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        for (int i = 0; i < 60; i++)
            Assert.Equal("OK", cluster.Insist(i % 3, "SET", $"key{i}", $"value{i}"));
        for (int i = 0; i < 60; i++)
            Assert.Equal($"value{i}", cluster.Insist((i + 1) % 3, "GET", $"key{i}"));

        // On a busy machine a shard may be between two leaders at the moment that it is asked.
        Tools.UntilTold(() => KvasirProcess.Run("status", "-p", cluster.Port(1)).GetAwaiter().GetResult() is { ExitCode: 0 } status
            && status.Output.Contains("3 nodes", StringComparison.Ordinal), "all is well");
        for (int victim = 0; victim < 3; victim++)
        {
            Tools.Run("kill", "-KILL", cluster.ProcessId(victim));
            Assert.Contains("kvasir server --config", await cluster.Error(l => l.Contains("start it again", StringComparison.Ordinal)), StringComparison.Ordinal);
            int other = (victim + 1) % 3;
            for (int i = 0; i < 20; i++)
                Assert.Equal("OK", cluster.Insist(other, "SET", $"during{victim}:{i}", "x"));
            for (int i = 0; i < 60; i++)
                Assert.Equal($"value{i}", cluster.Insist(other, "GET", $"key{i}"));

            // The printed command is for a shell; this is what it does.
            using Process again = KvasirProcess.Start("server", "--config", $"{_folder}/node-{victim + 1}.conf", "--json");
            Assert.NotNull(await again.StandardOutput.ReadLineAsync());
            await cluster.Error(l => l.Contains("is back", StringComparison.Ordinal));
            if (victim == 0)
            {
                // It must not be started a second time.
                Tools.Pause(again.Id.ToString(CultureInfo.InvariantCulture));
                await cluster.Error(l => l.Contains("node-1 does not answer, though a process has its folder open", StringComparison.Ordinal));
                Tools.Run("kill", "-CONT", again.Id.ToString(CultureInfo.InvariantCulture));
                await cluster.Error(l => l.Contains("is back", StringComparison.Ordinal));
            }

            Tools.UntilTold(() => KvasirProcess.Run("status", "-p", cluster.Port(other)).GetAwaiter().GetResult().ExitCode == 0, "all copies are back");
        }

        // Those that were started by hand stop with the rest.
        await cluster.Terminate();
        Assert.Empty(Directory.GetFiles(_folder, "kvasir.pid", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData("")]
    [InlineData("--restart")]
    public async Task ANodeThatWasTakenOutIsNotToBeStartedAgain(string flag)
    {
        using RunningCluster cluster = await RunningCluster.StartOf(4, _folder, flag.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Tools.UntilTold(() => KvasirProcess.Run("node", "decommission", "4", "-p", cluster.Port(0)).GetAwaiter().GetResult().ExitCode == 0, "it is on its way out");
        string ended = await cluster.Error(l => l.Contains("node-4 (process ", StringComparison.Ordinal));
        Assert.EndsWith("ended with exit code 2: node 4 was decommissioned, and nothing of it is needed any more", ended, StringComparison.Ordinal);

        // What is said of the next one comes after all that is said of this one.
        Tools.Run("kill", "-KILL", cluster.ProcessId(2));
        Assert.Contains("node-3", await cluster.Error(l => l.Contains("started again", StringComparison.Ordinal) || l.Contains("start it again", StringComparison.Ordinal)
            || l.Contains("node-3 (process ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ANodeThatStaysSilentForLongerThanItMayIsReplaced()
    {
        var settings = new Dictionary<string, string>(StringComparer.Ordinal) { ["KVASIR_DEAD_AFTER_SECONDS"] = "10" };
        using RunningCluster cluster = await RunningCluster.StartOf(4, _folder, settings);
        for (int i = 0; i < 30; i++)
            Assert.Equal("OK", cluster.Insist(i % 3, "SET", $"key{i}", $"value{i}"));

        // Until then it may have had no copies.
        Tools.UntilTold(() => Survey(cluster).GroupsOf("db0").Any(static g => g.Replicas.Contains(4)), "node 4 has copies");
        Tools.Run("kill", "-KILL", cluster.ProcessId(3));
        Tools.UntilTold(
            () => Survey(cluster) is var survey && survey.GroupsOf("db0").All(g => !g.Replicas.Contains(4)) && survey.Lacking("db0", 3) is null,
            "the copies of node 4 are made anew on the others");
        for (int i = 0; i < 30; i++)
            Assert.Equal($"value{i}", cluster.Insist(i % 3, "GET", $"key{i}"));
    }

    [Fact]
    public async Task WhatWasWrittenIsThereAfterAllWereStoppedAndStartedAgain()
    {
        using (RunningCluster cluster = await RunningCluster.Start(_folder))
        {
            for (int i = 0; i < 30; i++)
                Assert.Equal("OK", cluster.Insist(i % 3, "SET", $"key{i}", $"value{i}"));
            await cluster.Terminate();
        }

        using RunningCluster again = await RunningCluster.Start(_folder);
        for (int i = 0; i < 30; i++)
            Assert.Equal($"value{i}", again.Insist(i % 3, "GET", $"key{i}"));
        await again.Terminate();
    }

    [Fact]
    public async Task AClusterThatLostItsMajorityGoesOnWithOneNode()
    {
        string port;
        using (RunningCluster cluster = await RunningCluster.Start(_folder))
        {
            for (int i = 0; i < 10; i++)
                Assert.Equal("OK", cluster.Insist(i % 3, "SET", $"key{i}", $"value{i}"));
            port = cluster.Port(0);
            Assert.Contains("stop it first", (await KvasirProcess.Run("recover", $"{_folder}/node-1", "--yes")).AssertUsageError(), StringComparison.Ordinal);
            await cluster.Terminate();
        }

        Directory.Delete($"{_folder}/node-2", recursive: true);
        Directory.Delete($"{_folder}/node-3", recursive: true);
        Assert.Contains("Nothing was changed", (await KvasirProcess.Run("recover", $"{_folder}/node-1")).AssertSuccess().Output, StringComparison.Ordinal);
        Assert.Contains("cluster of one", (await KvasirProcess.Run("recover", $"{_folder}/node-1", "--yes")).AssertSuccess().Output, StringComparison.Ordinal);
        using Process alone = KvasirProcess.Start("server", "--config", $"{_folder}/node-1.conf", "--json");
        Assert.NotNull(await alone.StandardOutput.ReadLineAsync());
        for (int i = 0; i < 10; i++)
            Assert.Equal($"value{i}", RunningCluster.Insist(port, "GET", $"key{i}"));
        Assert.Equal("OK", RunningCluster.Insist(port, "SET", "key0", "afterwards"));
        Tools.Run("kill", "-TERM", alone.Id.ToString(CultureInfo.InvariantCulture));
        await alone.WaitForExitAsync();
        Assert.Equal(0, alone.ExitCode);
        Assert.Contains("is not the folder of a cluster's node", (await KvasirProcess.Run("recover", _folder)).AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithMoreNodesThanCopiesWhatOneNodeHasGoesOnAndTheRestSaysThatItIsLost()
    {
        string port;
        SortedDictionary<string, long> shardOf = new(StringComparer.Ordinal);
        using (RunningCluster cluster = await RunningCluster.StartOf(4, _folder))
        {
            ClusterSurvey survey = ClusterSurvey.Ask(cluster.Address(1), password: null, Tools.Patience);
            GroupEntry[] shards = [.. survey.GroupsOf("db0")];
            for (int i = 0; i < 40; i++)
            {
                Assert.Equal("OK", cluster.Insist(i % 4, "SET", $"key{i}", $"value{i}"));
                using RespConnection connection = cluster.Connect(0);
                int slot = int.Parse(connection.Ask("CLUSTER", "KEYSLOT", $"key{i}"), CultureInfo.InvariantCulture);
                shardOf[$"{i}"] = shards[slot % shards.Length].Id;
            }

            // Two of three have acknowledged it: the third need not be node 2.
            Tools.UntilTold(() => Survey(cluster) is var now && now.GroupsOf("db0").All(g => HasAll(now, g.Id, node: 2)), "node 2 has all of what it has copies of");
            port = cluster.Port(1);
            await cluster.Terminate();
        }

        foreach (int gone in new[] { 1, 3, 4 })
            Directory.Delete($"{_folder}/node-{gone}", recursive: true);
        string told = (await KvasirProcess.Run("recover", $"{_folder}/node-2", "--yes")).AssertSuccess().Output;
        Assert.Contains("cluster of one", told, StringComparison.Ordinal);

        // Copies move about meanwhile: one that was to go serves what it has, which may not be all.
        string[] copies = [.. told.Split('\n').Where(l => l.StartsWith("  group ", StringComparison.Ordinal))];
        long[] whole = Groups(copies.Where(l => !l.Contains(':', StringComparison.Ordinal)));
        long[] served = Groups(copies.Where(l => !l.Contains("its shard is lost", StringComparison.Ordinal)));
        string[] kept = [.. shardOf.Keys.Where(i => whole.Contains(shardOf[i]))], lost = [.. shardOf.Keys.Where(i => !served.Contains(shardOf[i]))];
        Assert.NotEmpty(kept);
        using Process alone = KvasirProcess.Start("server", "--config", $"{_folder}/node-2.conf", "--json");
        Assert.NotNull(await alone.StandardOutput.ReadLineAsync());
        foreach (string i in kept)
        {
            Assert.Equal($"value{i}", RunningCluster.Insist(port, "GET", $"key{i}"));
            Assert.Equal("OK", RunningCluster.Insist(port, "SET", $"key{i}", "afterwards"));
        }

        // Not "it is not there".
        foreach (string i in lost.Take(2))
        {
            using RespConnection connection = RespConnection.Open(new HostPort("127.0.0.1", int.Parse(port, CultureInfo.InvariantCulture)));
            Assert.Matches("^-(CLUSTERDOWN|TRYAGAIN) ", connection.Ask("GET", $"key{i}"));
        }

        Tools.Run("kill", "-TERM", alone.Id.ToString(CultureInfo.InvariantCulture));
        await alone.WaitForExitAsync();
        Assert.Equal(0, alone.ExitCode);
    }

    [Fact]
    public async Task NodesDoNotOutliveTheirParentUnnoticed()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        int[] processes = [.. Enumerable.Range(0, 3).Select(i => int.Parse(cluster.ProcessId(i), CultureInfo.InvariantCulture))];
        cluster.Kill();
        Tools.Until(() => processes.All(p => !Directory.Exists($"/proc/{p}")), "the nodes end");
        Assert.Empty(Directory.GetFiles(_folder, "kvasir.pid", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task WithRestartADeadNodeComesBackByItself()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder, "--restart");
        string before = cluster.ProcessId(1);
        Tools.Run("kill", "-KILL", before);
        await cluster.Error(l => l.Contains("node-2 is started again", StringComparison.Ordinal));
        Tools.UntilTold(() => KvasirProcess.Run("status", "-p", cluster.Port(0)).GetAwaiter().GetResult().ExitCode == 0, "all copies are back");
        Assert.NotEqual(before, cluster.ProcessId(1));
        await cluster.Terminate();
    }

    private static long[] Groups(IEnumerable<string> lines) =>
        [.. lines.Select(l => long.Parse(l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture))];

    private static bool HasAll(ClusterSurvey survey, long group, long node) =>
        survey.LeaderOf(group) is not null && survey.Nodes.First(n => n.Node.Id == node).Answer is { } answer
        && (answer.Replicas.FirstOrDefault(r => r.Group == group) is not { } copy || survey.LagOf(group, node, copy).Entries == 0);

    private static ClusterSurvey Survey(RunningCluster cluster) => ClusterSurvey.Ask(cluster.Address(0), password: null, Tools.Patience);
}
