using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.Administration;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Real nodes under real faults, with clients whose histories are judged.</summary>
public sealed class ClusterFaultTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-faults-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(3, "0.4", "kill,pause,power")]
    [InlineData(3, "0.4", "links")]
    [InlineData(3, "0.4", "disk,snapshot")]
    [InlineData(3, "0.4", "roll,members")]
    [InlineData(5, "0.4", "all")]
    public async Task WhatClientsSawCanBe(int nodes, string minutes, string faults)
    {
        string seed = faults.Length.ToString(CultureInfo.InvariantCulture);
        Outcome outcome = await KvasirProcess.RunLong(
            TimeSpan.FromMinutes(8), "torture", "--nodes", $"{nodes}", "--minutes", minutes, "--clients", "4", "--faults", faults, "--seed", seed, "--json");
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal("valid", report.GetProperty("verdict").GetString());
        Assert.NotEmpty(report.GetProperty("faults").EnumerateObject());
        Assert.True(report.GetProperty("answered").GetInt64() > 100, outcome.Output);
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
            Assert.Equal(written == "OK" ? "late" : written.StartsWith("-TIMEOUT", StringComparison.Ordinal) ? now : "after", now);
            Assert.True(second == now || second[0] == '-', $"round {round}: {first}, {written}, {second}; now {now}");
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
        Tools.Until(
            () =>
            {
                using RespConnection connection = cluster.Connect(0);
                int slot = int.Parse(connection.Ask("CLUSTER", "KEYSLOT", key), CultureInfo.InvariantCulture);
                ClusterSurvey survey = ClusterSurvey.Ask(cluster.Address(0), password: null, TimeSpan.FromSeconds(5));
                GroupEntry[] shards = [.. survey.GroupsOf("db0")];
                string? resp = survey.LeaderOf(shards[slot % shards.Length].Id)?.Node.Resp;
                leader = Enumerable.Range(0, 3).FirstOrDefault(n => cluster.Address(n).ToString() == resp, -1);
                return leader >= 0;
            },
            $"the shard of {key} has a leader");
        return leader;
    }
}
