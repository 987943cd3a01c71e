using System.Diagnostics;
using System.Globalization;
using Kvasir.Cli.Administration;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Nodes that stand still for a while, and then go on as if nothing had been.</summary>
public sealed class ClusterPauseTests : IDisposable
{
    // Counted on by clients in each shard while its leader stands still.
    private const int CountsMin = 50;

    private static readonly TimeSpan s_halfAMinute = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-pauses-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task ALeaderThatStoodStillForHalfAMinuteSaysNothingStaleAndNothingIsLost()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        string[] keys = KeysOfAllShards(cluster);
        var counters = new AcknowledgedCounters(keys);
        int paused = LeaderOf(cluster, keys[0]);
        int other = (paused + 1) % 3;
        using AcknowledgedCounters.Client one = counters.ClientOf(cluster.Address(other)), another = counters.ClientOf(cluster.Address((paused + 2) % 3));
        using RespConnection late = cluster.Connect(paused);
        using var stop = new CancellationTokenSource();
        Task writer = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
                another.CountOn();
        });
        try
        {
            one.CountOn(CountsMin);
            cluster.Pause(paused);
            Stopwatch standsStill = Stopwatch.StartNew();
            one.CountOn(CountsMin);
            while (standsStill.Elapsed < s_halfAMinute)
                one.CountOn();

            // What waits in its socket is the first that it sees when it goes on, and all of this was acknowledged before it was asked.
            long[] before = counters.Acknowledged;
            foreach (string key in keys)
                late.Send("GET", key);
            cluster.Continue(paused);
            for (int i = 0; i < keys.Length; i++)
            {
                string answer = Answer(late);
                Assert.True(answer[0] == '-' || Number(answer) >= before[i], $"{keys[i]} was {before[i]} at least, and is {answer} on the node that stood still");
            }
        }
        finally
        {
            await stop.CancelAsync();
            await writer;
        }

        using AcknowledgedCounters.Client atWoken = counters.ClientOf(cluster.Address(paused));
        atWoken.CountOn(CountsMin);
        Tools.UntilTold(() => IsWhole(ClusterSurvey.Ask(cluster.Address(other), password: null, Tools.Patience)), "every shard has three copies, and none lacks anything");
        for (int node = 0; node < 3; node++)
        {
            for (int i = 0; i < keys.Length; i++)
                Assert.InRange(Number(cluster.Insist(node, "GET", keys[i])), counters.Acknowledged[i], counters.Acknowledged[i] + counters.InDoubt[i]);
        }

        await cluster.Terminate();
    }

    [Fact]
    public async Task ALeaderThatWasPausedServesNothingStaleAndItsWritesAreNotBelieved()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        for (int round = 0; round < 3; round++)
        {
            string key = $"key{round}";
            Assert.Equal("OK", cluster.Insist(0, "SET", key, "before"));
            int paused = LeaderOf(cluster, key);
            int other = (paused + 1) % 3;
            using RespConnection late = cluster.Connect(paused);
            Assert.Equal("before", late.Ask("GET", key));
            cluster.Pause(paused);

            // What waits in its socket is the first that it sees when it goes on, before any message of the others.
            late.Send("GET", key);
            late.Send("SET", key, "late");
            late.Send("GET", key);
            Assert.Equal("OK", cluster.Insist(other, "SET", key, "after"));
            cluster.Continue(paused);
            string first = Answer(late), written = Answer(late), second = Answer(late);

            // It may have asked who leads now, and done it there; it may not answer from what it believed.
            string now = cluster.Insist(other, "GET", key);
            Assert.True(first == "after" || first[0] == '-', $"round {round}: {first}, {written}, {second}; now {now}");
            bool isInDoubt = written.StartsWith("-TIMEOUT", StringComparison.Ordinal);
            Assert.Equal(written == "OK" ? "late" : isInDoubt ? now : "after", now);

            // What is in doubt may be done at any time, also between the two.
            Assert.True(second == now || second[0] == '-' || (isInDoubt && second == "after"), $"round {round}: {first}, {written}, {second}; now {now}");
        }

        await cluster.Terminate();
    }

    private static string Answer(RespConnection connection)
    {
        RespReply reply = connection.Receive();
        return reply.Kind == Wire.Resp.RespReplyKind.Error ? "-" + reply.Text : reply.Text;
    }

    private static int LeaderOf(RunningCluster cluster, string key)
    {
        int leader = -1;
        Tools.UntilTold(
            () =>
            {
                using RespConnection connection = cluster.Connect(0);
                int slot = int.Parse(connection.Ask("CLUSTER", "KEYSLOT", key), CultureInfo.InvariantCulture);
                ClusterSurvey survey = ClusterSurvey.Ask(cluster.Address(0), password: null, Tools.Patience);
                GroupEntry[] shards = [.. survey.GroupsOf("db0")];
                string? resp = survey.LeaderOf(shards[slot % shards.Length].Id)?.Node.Resp;
                leader = Enumerable.Range(0, 3).FirstOrDefault(n => cluster.Address(n).ToString() == resp, -1);
                return leader >= 0;
            },
            $"the shard of {key} has a leader");
        return leader;
    }

    private static string[] KeysOfAllShards(RunningCluster cluster)
    {
        using RespConnection connection = cluster.Connect(0);
        int shards = ClusterSurvey.Ask(cluster.Address(0), password: null, Tools.Patience).GroupsOf("db0").Count();
        return [.. Enumerable.Range(0, 100)
            .Select(i => string.Create(CultureInfo.InvariantCulture, $"counter{i}"))
            .GroupBy(key => Number(connection.Ask("CLUSTER", "KEYSLOT", key)) % shards)
            .Select(g => g.First())];
    }

    /// <summary>Every copy is there and knows all that its leader does.</summary>
    private static bool IsWhole(ClusterSurvey survey) =>
        survey.Lacking("db0", 3) is null
        && survey.First.Problems.Count == 0
        && survey.Nodes.All(n => survey.GroupsOf("db0").All(g => survey.LagOf(g.Id, n.Node.Id, n.Answer?.Replicas.FirstOrDefault(r => r.Group == g.Id)).Entries == 0));

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
