using System.Text.Json;

namespace Kvasir.Cli.Tests.Administration;

public sealed class StatusTests : IDisposable
{
    private readonly FakeCluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public async Task AWholeClusterIsShownWithoutAWarning()
    {
        Outcome outcome = (await Run("status", "--replicas")).AssertSuccess();
        Assert.Contains("cluster 4f2a: 3 nodes, 2 groups; the directory is led by node 2", outcome.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("WARNING", outcome.Output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^2 +active +127\.0\.0\.1:\d+ +127\.0\.0\.1:7002 +- +zone=c +1 +2 *$", outcome.Output);
        Assert.Matches(@"(?m)^db0 +lsm +static +2 +raft +3 +3 +0 +sync *$", outcome.Output);
        Assert.Matches(@"(?m)^db0 +1 +12 +2 +leader +5 +100 +99 +1 +120 +2 +yes +ok +- *$", outcome.Output);
        Assert.DoesNotContain('\e', outcome.Output);
    }

    [Fact]
    public async Task WhatIsKeptLessThanPromisedIsSaidLoudly()
    {
        _cluster.Silent.Add(3);
        Outcome outcome = await Run("status", "--replicas");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("WARNING: node 3 at 127.0.0.1:", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("WARNING: db0 promises 3 copies and a shard of it has 2", outcome.Output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^db0 +0 +11 +3 +silent ", outcome.Output);
    }

    /// <summary>What a copy knows nothing of it cannot count: its leader does, also when the copy's node is silent.</summary>
    [Fact]
    public async Task ACopyIsAsFarBehindAsItsLeaderSays()
    {
        _cluster.Lacking = (70, 9000, null);
        _cluster.LagMs = -1;
        string output = (await Run("status", "--replicas")).AssertSuccess().Output;
        Assert.Matches(@"(?m)^db0 +0 +11 +2 +follower +5 +100 +99 +1 +120 +0 +yes +ok +- *$", output);
        Assert.Matches(@"(?m)^db0 +0 +11 +3 +follower +5 +100 +99 +70 +9000 +- +yes +ok +- *$", output);
        JsonElement replica = JsonDocument.Parse((await Run("status", "--json")).AssertSuccess().Output).RootElement
            .GetProperty("groups")[0].GetProperty("replicas")[2];
        Assert.Equal((70, 9000), (replica.GetProperty("lagEntries").GetInt32(), replica.GetProperty("lagBytes").GetInt32()));
        _cluster.Silent.Add(3);
        Assert.Matches(@"(?m)^db0 +0 +11 +3 +silent +- +- +- +70 +9000 +- +- +- +- *$", (await Run("status", "--replicas")).Output);
    }

    /// <summary>Whoever stops the next node then stops the shard, too.</summary>
    [Fact]
    public async Task CopiesThatLagAreWarnedOfUntilTheyDoNot()
    {
        _cluster.Lacking = (70_000, 9000, 3_000);
        Outcome outcome = await Run("status");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("\nWARNING: 2 copies on node 3 are behind by up to 70,000 entries, 3.0 s\n", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("\nWARNING: were another node lost now, 2 shards would stand still until copies have caught up", outcome.Output, StringComparison.Ordinal);
        (await Run("status", "--lag-entries", "70k")).AssertSuccess();
        (await Run("status", "--lag-ms", "3000")).AssertSuccess();
        _cluster.Lacking = (70_000, 9000, 900);
        (await Run("status")).AssertSuccess();
    }

    [Fact]
    public async Task ASnapshotThatIsUnderWayIsShown()
    {
        _cluster.Snapshot = ("sending", 3 << 20, 12 << 20);
        Outcome outcome = await Run("status", "--replicas");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("\nWARNING: 1 copy on node 3 needs a snapshot, under way: 3.0 of 12.0 MiB so far\n", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("\nWARNING: were another node lost now, 1 shard would stand still", outcome.Output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^db0 +0 +11 +3 +follower .* ok +sending 3\.0 of 12\.0 MiB *$", outcome.Output);
        JsonElement snapshot = JsonDocument.Parse((await Run("status", "--json")).Output).RootElement
            .GetProperty("groups")[0].GetProperty("replicas")[2].GetProperty("snapshot");
        Assert.Equal(("sending", 12 << 20), (snapshot.GetProperty("stage").GetString(), snapshot.GetProperty("total").GetInt32()));

        _cluster.Snapshot = ("sending", 3 << 20, null);
        Assert.Contains("needs a snapshot, under way: 3.0 MiB so far\n", (await Run("status")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ACopyThatDoesNotTakeSnapshotsIsNamedWithTheReason()
    {
        _cluster.Snapshot = ("refused", 0, null);
        _cluster.SnapshotFailure = "there is no room for it";
        Outcome outcome = await Run("status");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains(
            "\nWARNING: node 3 does not take the snapshots that 1 copy there needs, and is tried again: there is no room for it\n", outcome.Output, StringComparison.Ordinal);
    }

    /// <summary>The node answers whoever asks it, and no leader hears it: one may be cut off from the other.</summary>
    [Fact]
    public async Task ACopyThatItsLeaderHearsNothingOfIsWarnedOfWhenWhatItHasIsOld()
    {
        _cluster.Unheard.Add(3);
        (await Run("status")).AssertSuccess();
        _cluster.LagMs = 2_500;
        Outcome outcome = await Run("status");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("WARNING: 2 copies on node 3 are behind, and leaders hear nothing of it there, 2.5 s\n", outcome.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("copies on node 2", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NodesThatHaveLeftAreListedAndNotCounted()
    {
        _cluster.Decommissioned.UnionWith([1, 2]);
        string output = (await Run("status")).AssertSuccess().Output;
        Assert.Contains("cluster 4f2a: 1 node, 2 groups; ", output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^2 +decommissioned ", output);
    }

    [Fact]
    public async Task WhatTheDirectoryFindsWrongIsSaidFirst()
    {
        _cluster.Problems.Add("node 2 has been silent for a while");
        Outcome outcome = await Run("status");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("\nWARNING: node 2 has been silent for a while\n", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AShardWithoutALeaderIsNamed()
    {
        _cluster.Roles[1][1] = "candidate";
        Outcome outcome = await Run("status");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("WARNING: db0: 1 of 2 shards have no leader and take no writes", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AReplicaThatIsNotThereAndADiskThatFailsAreSeen()
    {
        _cluster.Roles[2][0] = "";
        _cluster.Disk = "the disk is full";
        Outcome outcome = await Run("status", "--json");
        Assert.Equal(1, outcome.ExitCode);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal(
            ["the disk of node 3: the disk is full", "db0 promises 3 copies and a shard of it has 2"],
            report.GetProperty("warnings").EnumerateArray().Select(w => w.GetString()!));
        Assert.Equal([2, 3], report.GetProperty("groups").EnumerateArray().Select(g => g.GetProperty("copies").GetInt32()));
        Assert.Equal(1, report.GetProperty("groups")[0].GetProperty("leader").GetInt32());
    }

    [Fact]
    public async Task NodesAndKeyspacesAreListed()
    {
        _cluster.Silent.Add(2);
        JsonElement nodes = JsonDocument.Parse((await Run("node", "list", "--json")).AssertSuccess().Output).RootElement;
        Assert.Equal([true, false, true], nodes.EnumerateArray().Select(n => n.GetProperty("answers").GetBoolean()));
        Assert.Equal([1, 0], nodes.EnumerateArray().Where(n => n.GetProperty("answers").GetBoolean()).Select(n => n.GetProperty("leads").GetInt32()));
        _cluster.Silent.Clear();
        Assert.Contains("db0", (await Run("keyspace", "list")).AssertSuccess().Output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^db0 +0 +11 +1 +leader ", (await Run("keyspace", "show", "db0")).AssertSuccess().Output);
        foreach (string[] words in (string[][])[["keyspace", "show", "db9"], ["status", "--keyspace", "db9"]])
        {
            Outcome outcome = await Run(words);
            Assert.Equal((1, "kvasir: there is no keyspace db9\n"), (outcome.ExitCode, outcome.Error));
        }
    }

    [Theory]
    [InlineData("node drain 2", "NODE DRAIN 2")]
    [InlineData("node decommission 3", "NODE DECOMMISSION 3")]
    [InlineData("leader transfer db0 1 3", "LEADER TRANSFER db0 1 3")]
    [InlineData("keyspace drop old --yes", "KEYSPACE DROP old")]
    [InlineData("keyspace create new", "KEYSPACE CREATE new")]
    [InlineData("keyspace create new --shards 16 --replicas 5", "KEYSPACE CREATE new shards 16 replicas 5")]
    public async Task CommandsAreSentAsTheServerKnowsThem(string commandLine, string sent)
    {
        Assert.Equal("OK\n", (await Run(commandLine.Split(' '))).AssertSuccess().Output);
        Assert.Equal(["1: " + sent], _cluster.Asked);
    }

    [Theory]
    [InlineData("--replicas 3", "")]
    [InlineData("--replicas 7", "warning: new promises 7 copies and the cluster has 3 nodes: 4 will be lacking until there are more\n")]
    public async Task CopiesThatThereAreNoNodesForAreSaidToBeLacking(string replicas, string said) =>
        Assert.Equal(said, (await Run(["keyspace", "create", "new", .. replicas.Split(' ')])).AssertSuccess().Error);

    [Fact]
    public async Task ADrainedNodeWithOnlyCopiesIsWarnedOf()
    {
        _cluster.Reply = "+OK, but these shards have no other copy (solo 0-3): do not wipe node 2\r\n";
        Outcome outcome = await Run("node", "drain", "2");
        Assert.Equal((0, "kvasir: these shards have no other copy (solo 0-3): do not wipe node 2\n", "OK\n"), (outcome.ExitCode, outcome.Error, outcome.Output));
    }

    [Fact]
    public async Task WhatTheServerRefusesIsSaidInItsWords()
    {
        _cluster.Reply = "-ERR db0 has no shard 9\r\n";
        Outcome outcome = await Run("leader", "transfer", "db0", "9", "1");
        Assert.Equal((1, "kvasir: ERR db0 has no shard 9\n", ""), (outcome.ExitCode, outcome.Error, outcome.Output));
    }

    [Theory]
    [InlineData("keyspace drop old", "--yes")]
    [InlineData("node drain two", "ID is a whole number, 1 or more, not 'two'")]
    [InlineData("node drain 0", "not '0'")]
    [InlineData("leader transfer db0 -1 2", "SHARD is a whole number")]
    public async Task WhatIsWrongIsSaidInOneLine(string commandLine, string says)
    {
        Assert.Contains(says, (await Run(commandLine.Split(' '))).AssertUsageError(), StringComparison.Ordinal);
        Assert.Empty(_cluster.Asked);
    }

    private Task<Outcome> Run(params string[] words) => KvasirProcess.Run([.. words, "-p", _cluster.Port, "--patience", "300"]);
}
