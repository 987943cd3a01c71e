using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>What a client hears when leads and links are lost: what is known, and no more waiting than is of use.</summary>
public sealed class FailOverTests
{
    private const string Unknown = "-TIMEOUT outcome unknown: leadership of the shard was lost before a majority had the write\r\n";

    [Fact]
    public void WriteThatNoMajorityHadHasAnUnknownOutcome()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} old");
        group.CommitsAtOnce = false;
        Assert.Equal("", client.Send($"SET {key} new", $"GET {key}", "PING"));
        cluster.Depose(group);
        cluster.Pump();

        // What was read was of the lost write: as unknown as that.
        Assert.Equal(Unknown + Unknown + "+PONG\r\n", client.Receive());
        cluster.Lead(group, 2);
        Assert.Equal("$3\r\nold\r\n", client.Send($"GET {key}") + client.Wait(20));
    }

    [Theory]
    [InlineData(1, "-TRYAGAIN what was read is not certain: leadership of its shard was lost before a majority had it\r\n")]
    [InlineData(2, "$3\r\nold\r\n")]
    public void ReadOfAWriteThatNoMajorityHadIsNoWrite(int node, string expected)
    {
        ClusterInMemory cluster = new();
        ClusterClient writer = new(cluster, 1), reader = new(cluster, node);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        writer.Send($"SET {key} old");
        group.CommitsAtOnce = false;
        Assert.Equal("", writer.Send($"SET {key} new"));
        Assert.Equal("", reader.Send($"GET {key}"));
        cluster.Depose(group);
        cluster.Pump();
        Assert.Equal(Unknown, writer.Receive());
        group.CommitsAtOnce = true;
        string atOnce = reader.Receive();
        cluster.Lead(group, 2);
        Assert.Equal(expected, atOnce + reader.Wait(20));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void WriteOfWhichTheLogThinksBetterIsRefusedInItsWords(int node)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, node);
        string key = cluster.KeyLedBy(1);
        cluster.GroupOf(key).LateRefusal = new WriteRefusal("IOERR", "the disk failed");
        Assert.Equal("-IOERR the disk failed\r\n", client.Send($"SET {key} new"));
    }

    [Fact]
    public void WriteThatNoMajorityHadIsSentAgainByItsNode()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 2);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} 1");
        group.CommitsAtOnce = false;
        Assert.Equal("", client.Send($"INCR {key}", $"GET {key}", "PING"));
        group.CommitsAtOnce = true;
        cluster.Depose(group);
        cluster.Lead(group, 2);
        Assert.Equal(":2\r\n$1\r\n2\r\n+PONG\r\n", client.Wait(20));
    }

    [Theory]
    [InlineData("INCR {0}", ":2\r\n", "2")]
    [InlineData("APPEND {0} x", ":2\r\n", "1x")]
    [InlineData("GETSET {0} 7", "$1\r\n1\r\n", "7")]
    [InlineData("MULTI,INCR {0},INCR {0},EXEC", "*2\r\n:2\r\n:3\r\n", "3")]
    public void WriteWhoseAnswerIsLostIsKnownAgain(string commands, string answer, string value)
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Send($"SET {key} 1");
        Send(client, cluster, [.. commands.Replace("{0}", key, StringComparison.Ordinal).Split(',')]);
        cluster.Step();
        cluster.Cut(1, 2);
        cluster.Lead(cluster.GroupOf(key), 3);
        Assert.Equal(answer, client.Receive() + client.Wait(50));
        Assert.Equal($"${value.Length}\r\n{value}\r\n", client.Send($"GET {key}"));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void WriteThatTheLogMayHaveForgottenHasAnUnknownOutcome(int next)
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} 1");
        Send(client, cluster, $"INCR {key}");
        cluster.Step();
        cluster.Cut(1, 2);
        cluster.Join(1, 2);

        // The next leader has begun anew from a snapshot.
        group.Sessions.Forget(group.DurablePosition);
        cluster.Lead(group, next);
        Assert.StartsWith("-TIMEOUT outcome unknown", client.Wait(50), StringComparison.Ordinal);
        Assert.Equal("$1\r\n2\r\n", client.Send($"GET {key}"));

        // What comes for the first time is not held up by that.
        Assert.Equal(":3\r\n", client.Send($"INCR {key}"));
    }

    [Fact]
    public void WriteThatWasDoneWithALongAnswerHasAnUnknownOutcome()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Send($"SET {key} {new string('x', 1000)}");
        Send(client, cluster, $"GETSET {key} y");
        cluster.Step();
        cluster.Cut(1, 2);
        cluster.Lead(cluster.GroupOf(key), 3);
        Assert.StartsWith("-TIMEOUT outcome unknown: the write was done", client.Wait(50), StringComparison.Ordinal);
        Assert.Equal("$1\r\ny\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void PipelineWhoseLinkBreaksIsSentAgainInItsOrder()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1), other = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Send($"SET {key} 0");
        string[] early = [.. Enumerable.Range(1, 5).Select(i => $"APPEND {key} {i}")], late = [.. Enumerable.Range(6, 4).Select(i => $"APPEND {key} {i}")];
        Send(client, cluster, early);
        cluster.Step();
        Send(client, cluster, late);
        Send(other, cluster, $"STRLEN {key}");
        cluster.Cut(1, 2);
        cluster.Lead(cluster.GroupOf(key), 3);
        Send(other, cluster, $"SET other{key} 1");
        Assert.Equal(string.Concat(Enumerable.Range(2, 9).Select(i => $":{i}\r\n")), client.Wait(50));
        Assert.Equal("$10\r\n0123456789\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void LinkThatBreaksUnderALeaderThatStaysIsNoLoss()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Send($"SET {key} 0");
        Send(client, cluster, $"INCR {key}");
        cluster.Step();
        Send(client, cluster, $"INCR {key}");
        cluster.Cut(1, 2);
        cluster.Join(1, 2);
        Assert.Equal(":1\r\n:2\r\n", client.Wait(50));
    }

    [Fact]
    public void FirstFrameOfAStreamThatIsOverRunsNothing()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        Send(client, cluster, $"INCR {key}");
        cluster.Step();
        Action late = cluster.Arrive;
        cluster.Cut(1, 2);
        cluster.Join(1, 2);
        Assert.Equal(":1\r\n", client.Wait(50));
        late();
        cluster.Advance(50);
        Assert.Equal("$1\r\n1\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void LateFrameOfAStreamThatWasSentAgainRunsNothing()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        Assert.Equal(":1\r\n", client.Send($"INCR {key}"));
        Send(client, cluster, $"INCR {key}");
        cluster.Loses = static () => true;
        cluster.Step();
        cluster.Loses = static () => false;
        Action late = cluster.Arrive;

        // Only the node that sends notices.
        cluster[1].Exchange.Disconnected(new(2));
        cluster[1].Exchange.Connected(new(2));
        Assert.Equal(":2\r\n", client.Wait(50));
        late();
        cluster.Advance(50);
        Assert.Equal("$1\r\n2\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void WhatWaitedUnderAnEarlierLeadDoesNotRunUnderALaterOne()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        GroupInMemory group = cluster.GroupOf(key);
        Assert.Equal(":1\r\n", client.Send($"INCR {key}"));
        group.LacksLease = true;
        Assert.Equal("", client.Send($"INCR {key}"));
        cluster[1].Exchange.Disconnected(new(2));
        group.LacksLease = false;
        cluster.Lead(group, 3);

        // No time goes by: the second node has not looked again.
        new ClusterClient(cluster, 1).Send($"GET {key}");
        Assert.Equal(":2\r\n", client.Receive());
        cluster[1].Exchange.Connected(new(2));
        cluster.Lead(group, 2);
        cluster.Advance(50);
        Assert.Equal("$1\r\n2\r\n", client.Send($"GET {key}") + client.Wait(20));
    }

    [Fact]
    public void WriteThatIsSentAThirdTimeIsKnownByItsFirstNumber()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"GET {key}");
        Send(client, cluster, $"INCR {key}");
        cluster.Cut(1, 2);
        cluster.Lead(group, 3);
        Send(new ClusterClient(cluster, 1), cluster, $"GET {key}");
        cluster.Step();
        cluster.Cut(1, 3);
        Assert.Equal(1, group.Records);
        cluster.Join(1, 2);
        cluster.Lead(group, 2);
        Assert.Equal(":1\r\n", client.Wait(50));
        Assert.Equal("$1\r\n1\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void WriteIsNotSentAgainBeyondItsTime()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        Send(client, cluster, $"INCR {key}");
        cluster.Step();
        cluster.Cut(1, 2);
        Assert.Equal("", client.Wait(900));
        Assert.StartsWith("-TIMEOUT outcome unknown", client.Wait(200), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void ClientsNoticeNoShortElection(int node)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, node);
        string key = cluster.KeyLedBy(1);
        client.Send($"SET {key} 1");
        cluster.Depose(cluster.GroupOf(key));
        Assert.Equal("", client.Send($"INCR {key}", $"GET {key}") + client.Wait(600));
        cluster.Lead(cluster.GroupOf(key), 2);
        Assert.Equal(":2\r\n$1\r\n2\r\n", client.Wait(50));
    }

    [Fact]
    public void APipelineWaitsForALeaderOnceNotOnceACommand()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        cluster.Depose(group);
        const string Leaderless = "-CLUSTERDOWN the shard has no leader\r\n";
        string[] pipeline = [.. Enumerable.Range(0, 20).Select(i => $"SET {key} {i}")];
        Assert.Equal(string.Concat(Enumerable.Repeat(Leaderless, 20)), client.Send(pipeline) + client.Wait(1100));

        // What comes later has not waited yet.
        Assert.Equal("", client.Send($"SET {key} 1") + client.Wait(500));
        cluster.Lead(group, 1);
        Assert.Equal("+OK\r\n", client.Wait(20));
    }

    [Fact]
    public void ShardWithoutALeaderIsRefusedAfterASecond()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(1), far = cluster.KeyLedBy(2);
        cluster.Depose(cluster.GroupOf(key));
        Assert.Equal("", client.Send($"SET {key} 1", $"SET {far} 1") + client.Wait(900));
        Assert.Equal("-CLUSTERDOWN the shard has no leader\r\n+OK\r\n", client.Wait(200));
        Assert.Equal("-EXECABORT Transaction discarded because of: CLUSTERDOWN the shard has no leader\r\n", client.Send("MULTI", $"SET {key} 1", "EXEC")["+OK\r\n+QUEUED\r\n".Length..] + client.Wait(1100));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void LeaderWithoutALeaseAnswersWhenItHasShownThatItLeads(int node)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, node);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} 1");
        group.LacksLease = true;
        Assert.Equal("", client.Send($"GET {key}", $"GET {key}"));

        // Woken: not so much time passes that it would look again by itself.
        cluster[1].Confirm(group);
        Assert.Equal("$1\r\n1\r\n", client.Wait(5));

        // The second read came, as far as anybody knows, after that round: it has one of its own.
        Assert.Equal("", client.Wait(100));
        cluster[1].Confirm(group);
        Assert.Equal("$1\r\n1\r\n", client.Wait(5));
    }

    [Fact]
    public void WhatWasShownInAnotherTermCountsForNothing()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        group.LacksLease = true;
        Assert.Equal("", client.Send($"GET {key}"));
        cluster.Lead(group, 2);
        cluster.Lead(group, 1);
        group.ConfirmReads();
        Assert.Equal("", client.Wait(50));
        cluster[1].Confirm(group);
        Assert.Equal("$-1\r\n", client.Wait(5));
    }

    [Fact]
    public void LeaderWithoutALeaseAnswersNothing()
    {
        ClusterInMemory cluster = new();
        ClusterClient near = new(cluster, 1), far = new(cluster, 2);
        string key = cluster.KeyLedBy(1);
        near.Send($"SET {key} 1");
        cluster.GroupOf(key).LacksLease = true;
        Assert.Equal("", near.Send($"GET {key}") + near.Wait(500));
        cluster.GroupOf(key).LacksLease = false;
        Assert.Equal("$1\r\n1\r\n", near.Wait(20));
        cluster.GroupOf(key).LacksLease = true;
        Assert.StartsWith("-TRYAGAIN", near.Send($"GET {key}") + near.Wait(1100), StringComparison.Ordinal);
        Assert.StartsWith("-TRYAGAIN", far.Send($"GET {key}") + far.Wait(2500), StringComparison.Ordinal);
    }

    [Fact]
    public void RequestThatFindsTheLeadGoneIsSentOn()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"SET {key} 1\r\n"));
        cluster[1].Exchange.Flush();
        Assert.Equal(1, cluster.MessagesUnderWay);
        cluster.Lead(cluster.GroupOf(key), 3);
        Assert.Equal("+OK\r\n", client.Wait(20));

        // To this very node, too.
        client.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"INCR {key}\r\n"));
        cluster[1].Exchange.Flush();
        cluster.Lead(cluster.GroupOf(key), 1);
        Assert.Equal(":2\r\n", client.Wait(20));
    }

    [Fact]
    public void PipelineThatFindsTheLeadGoneIsSentOnInItsOrder()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1), other = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        Send(client, cluster, $"SET {key} 1", $"INCR {key}", $"APPEND {key} x", "MULTI", $"APPEND {key} y", $"STRLEN {key}", "EXEC", $"GET {key}");
        Send(other, cluster, $"STRLEN {key}");
        cluster.Lead(cluster.GroupOf(key), 3);
        Assert.Equal("+OK\r\n:2\r\n:2\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n:3\r\n$3\r\n2xy\r\n", client.Wait(20));
        Assert.Equal(":3\r\n", other.Receive());
    }

    [Fact]
    public void WhatWasRefusedIsNotOvertakenByWhatComesBehindIt()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        GroupInMemory group = cluster.GroupOf(key);
        Send(client, cluster, $"APPEND {key} a");
        Send(client, cluster, $"APPEND {key} b");
        Assert.Equal(2, cluster.MessagesUnderWay);

        // The first finds a node that does not lead, the second the same node that leads again.
        cluster.Depose(group);
        cluster.Step();
        cluster.Lead(group, 2);
        cluster.Advance(50);
        Assert.Equal(":1\r\n:2\r\n", client.Receive());
        Assert.Equal("$2\r\nab\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void NothingOvertakesWhatWaitsForALeader()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        GroupInMemory group = cluster.GroupOf(key);

        // Refused twice by a node that this one takes for the leader, it waits a little, and others must wait behind it.
        cluster.Believes(1, group, 2);
        cluster.Depose(group);
        Assert.Equal("", client.Send($"APPEND {key} a") + client.Send($"APPEND {key} b"));
        cluster.Lead(group, 2);
        Assert.Equal("", client.Send($"APPEND {key} c"));
        Assert.Equal(":1\r\n:2\r\n:3\r\n", client.Wait(50));
        Assert.Equal("$3\r\nabc\r\n", client.Send($"GET {key}"));
    }

    [Fact]
    public void ReadBeforeALostWriteOfItsClientDoesNotSeeIt()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        client.Send($"SET {key} old");
        Send(client, cluster, $"GET {key}", $"SET {key} new", $"GET {key}");
        cluster.Step();
        cluster.Cut(1, 2);
        cluster.Lead(cluster.GroupOf(key), 3);
        string replies = client.Wait(50);
        Assert.StartsWith("-TRYAGAIN", replies, StringComparison.Ordinal);
        Assert.EndsWith("\r\n+OK\r\n$3\r\nnew\r\n", replies, StringComparison.Ordinal);
    }

    private static void Send(ClusterClient client, ClusterInMemory cluster, params string[] lines)
    {
        client.Peer.Send(System.Text.Encoding.ASCII.GetBytes(string.Concat(lines.Select(l => l + "\r\n"))));
        cluster.Flush();
    }

    [Fact]
    public void LeaderIsFoundThroughANodeThatKnowsIt()
    {
        // Node 1 believes for good what was so before; node 2 knows better.
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient client = new(cluster, 1), other = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        cluster.Believes(1, cluster.GroupOf(key), 2);
        cluster.Lead(cluster.GroupOf(key), 3);
        Assert.Equal("+OK\r\n", client.Send($"SET {key} 1"));
        Assert.Equal(":2\r\n", other.Send($"INCR {key}"));
        Assert.Equal("+OK\r\n+QUEUED\r\n*1\r\n:3\r\n", client.Send("MULTI", $"INCR {key}", "EXEC"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void ShardWithTooMuchUnderWayIsWaitedForAndThenRefused(int node)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, node);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        group.IsBusy = true;
        Assert.Equal("", client.Send($"SET {key} 1", $"GET {key}") + client.Wait(500));
        group.IsBusy = false;
        Assert.Equal("+OK\r\n$1\r\n1\r\n", client.Wait(20));
        group.IsBusy = true;
        Assert.Equal("$1\r\n1\r\n-TRYAGAIN not now\r\n", client.Send($"GET {key}", $"SET {key} 2") + client.Wait(1100));
        Assert.Equal("+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: TRYAGAIN not now\r\n", client.Send("MULTI", $"SET {key} 2", "EXEC") + client.Wait(1100));
    }

    [Fact]
    public void WhatWasOnALostLinkIsSentAgain()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient writer = new(cluster, 1), reader = new(cluster, 1), late = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        writer.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"SET {key} 1\r\n"));
        reader.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"GET {key}\r\n"));
        cluster[1].Exchange.Flush();
        late.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"SET {key} 2\r\n"));
        cluster.Cut(1, 2);
        Assert.Equal("", writer.Receive() + reader.Receive() + late.Receive());
        cluster.Lead(cluster.GroupOf(key), 3);
        cluster.Advance(20);
        Assert.Equal("+OK\r\n", writer.Receive());
        Assert.Equal("$1\r\n1\r\n", reader.Receive());
        Assert.Equal("+OK\r\n", late.Receive());
    }

    [Fact]
    public void LeaderThatCannotBeReachedIsWaitedForAndThenRefused()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        cluster.Cut(1, 2);
        Assert.Equal("", client.Send($"SET {key} 1") + client.Wait(500));
        cluster.Join(1, 2);
        Assert.Equal("+OK\r\n", client.Wait(20));
        cluster.Cut(1, 2);
        Assert.Equal("-CLUSTERDOWN the leader of the shard cannot be reached\r\n", client.Send($"SET {key} 1") + client.Wait(1100));
    }

    [Fact]
    public void LeaderThatHangsIsNotWaitedForOnceAnotherLeads()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient writer = new(cluster, 1), reader = new(cluster, 1);
        string key = cluster.KeyLedBy(2);
        writer.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"SET {key} 1\r\n"));
        reader.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"GET {key}\r\n"));
        cluster[1].Exchange.Flush();
        cluster.Loses = static () => true;
        cluster.Pump();
        cluster.Loses = static () => false;
        cluster.Lead(cluster.GroupOf(key), 3);
        cluster.Advance(900);
        Assert.Equal("+OK\r\n", writer.Receive());
        Assert.Equal("$1\r\n1\r\n", reader.Receive());
    }

    [Fact]
    public void PeerThatIsFullIsSentMoreWhenThereIsRoom()
    {
        ClusterInMemory cluster = new() { RoomMax = 1 };
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2), another = Enumerable.Range(0, 100).Select(i => "key" + i)
            .First(k => cluster.GroupOf(k) != cluster.GroupOf(far) && cluster.GroupOf(k).Leader == cluster.GroupOf(far).Leader);
        Assert.Equal("+OK\r\n+OK\r\n:2\r\n:2\r\n", client.Send($"SET {far} 1", $"SET {another} 1", $"INCR {far}", $"INCR {another}"));
    }

    [Fact]
    public void ClientsThatWishItAreToldTheLeader()
    {
        ClusterInMemory cluster = new();
        cluster[1].Server.Router!.Redirects = true;
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2);
        int slot = SlotOf(far);
        Assert.Equal($"-MOVED {slot} 127.0.0.1:7002\r\n", client.Send($"GET {far}"));
        Assert.Equal("+OK\r\n", client.Send($"SET {cluster.KeyLedBy(1)} 1"));
        Assert.Equal($"+OK\r\n-MOVED {slot} 127.0.0.1:7002\r\n", client.Send("MULTI", $"GET {far}"));
        client.Send("DISCARD");
        Assert.Contains("\r\nredis_mode:cluster\r\n", client.Send("INFO server"), StringComparison.Ordinal);
        Assert.Contains("$4\r\nmode\r\n$7\r\ncluster\r\n", client.Send("HELLO 2"), StringComparison.Ordinal);

        // As Redis has it: clients take all before the last colon for the address.
        cluster[2].Host = "[::1]";
        Assert.Equal($"-MOVED {slot} ::1:7002\r\n", client.Send($"SET {far} 1"));
    }

    private static int SlotOf(string key) => Slot.OfKey(System.Text.Encoding.ASCII.GetBytes(key)).Value;
}
