using System.Globalization;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>Commands on whole databases ask every shard, and answer for all.</summary>
public sealed class ShardCommandTests
{
    private const int KeyCount = 100;

    [Fact]
    public void CountsAndEmptiesAreOfAllShards()
    {
        ClusterInMemory cluster = Filled(out ClusterClient client);
        Assert.Equal($":{KeyCount}\r\n", client.Send("DBSIZE"));
        Assert.Equal("+OK\r\n:0\r\n", client.Send("SELECT 1", "DBSIZE"));
        Assert.Equal("+OK\r\n:1\r\n", client.Send("SET other 1", "DBSIZE"));
        Assert.Equal("+OK\r\n:0\r\n+OK\r\n", client.Send("FLUSHDB", "DBSIZE", "SELECT 0"));
        Assert.Equal($":{KeyCount}\r\n", client.Send("DBSIZE"));
        Assert.Equal("+OK\r\n:0\r\n", client.Send("FLUSHALL", "DBSIZE"));
        Assert.All(cluster.Groups, static g => Assert.Equal(0, g.CountStored()));
    }

    [Fact]
    public void KeysAreThoseOfAllShards()
    {
        Filled(out ClusterClient client);
        string[] replies = client.Send("KEYS *").Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal($"*{KeyCount}", replies[0]);
        Assert.Equal(KeyCount, replies.Where(static r => r.StartsWith("key", StringComparison.Ordinal)).Distinct().Count());
        Assert.Equal("*1\r\n$5\r\nkey42\r\n", client.Send("KEYS key42"));
    }

    [Theory]
    [InlineData(7)]
    [InlineData(1000)]
    public void ScanWalksEveryShardOnce(int count)
    {
        ClusterInMemory cluster = Filled(out ClusterClient client);
        HashSet<string> seen = [];
        string cursor = "0";
        int steps = 0;
        do
        {
            // Any node goes on where another stopped.
            ClusterClient at = new(cluster, (steps++ % 2) + 1);
            string[] reply = at.Send($"SCAN {cursor} COUNT {count}").Split("\r\n");
            Assert.Equal("*2", reply[0]);
            cursor = reply[2];
            foreach (string key in reply.Where(static r => r.StartsWith("key", StringComparison.Ordinal)))
                Assert.True(seen.Add(key), $"{key} came twice");
            Assert.True(steps < 1000);
        }
        while (cursor != "0");

        Assert.Equal(KeyCount, seen.Count);
        Assert.Equal("-ERR invalid cursor\r\n", client.Send("SCAN x"));
        Assert.Equal("-ERR syntax error\r\n", client.Send("SCAN 0 NONSENSE"));
    }

    [Fact]
    public void RandomKeyFindsTheOnlyKey()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        Assert.Equal("$-1\r\n", client.Send("RANDOMKEY"));
        client.Send("SET only 1");
        for (int i = 0; i < 20; i++)
            Assert.Equal("$4\r\nonly\r\n", client.Send("RANDOMKEY"));
    }

    [Fact]
    public void ErrorOfOneShardIsTheErrorOfAll()
    {
        ClusterInMemory cluster = Filled(out ClusterClient client);
        cluster.Depose(cluster.Groups[2]);
        Assert.Equal("-CLUSTERDOWN the shard has no leader\r\n", client.Send("DBSIZE") + client.Wait(1100));
    }

    [Fact]
    public void ClusterCommandsTellWhoLeads()
    {
        ClusterInMemory cluster = Filled(out ClusterClient client);
        Assert.Equal(":12739\r\n", client.Send("CLUSTER KEYSLOT 123456789"));
        Assert.Equal($"$40\r\n{new string('0', 39)}1\r\n", client.Send("CLUSTER MYID"));
        Assert.Contains("cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n", client.Send("CLUSTER INFO"), StringComparison.Ordinal);
        string nodes = client.Send("CLUSTER NODES");
        Assert.Contains("1 127.0.0.1:7001@7001 myself,master - 0 0 1 connected 0 2 4", nodes, StringComparison.Ordinal);
        Assert.Contains("2 127.0.0.1:7002@7002 master - 0 0 1 connected 1 3 5", nodes, StringComparison.Ordinal);
        Assert.StartsWith("*16384\r\n*4\r\n:0\r\n:0\r\n*4\r\n$9\r\n127.0.0.1\r\n:7001\r\n", client.Send("CLUSTER SLOTS"), StringComparison.Ordinal);
        foreach (GroupInMemory group in cluster.Groups)
            cluster.Lead(group, 2);
        Assert.StartsWith("*1\r\n*4\r\n:0\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:7002\r\n", client.Send("CLUSTER SLOTS"), StringComparison.Ordinal);
        Assert.StartsWith("*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*2\r\n", client.Send("CLUSTER SHARDS"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR not possible here", client.Send("CLUSTER MEET 127.0.0.1 1"), StringComparison.Ordinal);
    }

    /// <summary>Clients would call on those that are gone, and pass over those that are down.</summary>
    [Fact]
    public void ClusterNodesTellsWhoIsDownAndNotWhoHasLeft()
    {
        ClusterInMemory cluster = Filled(out ClusterClient client);
        cluster[2].State = "down";
        Assert.Contains("2 127.0.0.1:7002@7002 master,fail - 0 0 1 disconnected", client.Send("CLUSTER NODES"), StringComparison.Ordinal);
        cluster[2].State = "draining";
        Assert.Contains("2 127.0.0.1:7002@7002 master,fail? - 0 0 1 disconnected", client.Send("CLUSTER NODES"), StringComparison.Ordinal);
        string known = client.Send("CLUSTER INFO");
        cluster[2].State = "decommissioned";
        Assert.DoesNotContain("127.0.0.1:7002", client.Send("CLUSTER NODES"), StringComparison.Ordinal);
        Assert.NotEqual(known, client.Send("CLUSTER INFO"));
    }

    /// <summary>There are as many ranges as slots, and the node does nothing else meanwhile.</summary>
    [Fact]
    public void TheNodesAreListedOnceForAllSlots()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        foreach (string command in (string[])["SLOTS", "SHARDS", "NODES"])
        {
            int before = cluster[1].NodesAsked;
            client.Send("CLUSTER " + command);
            Assert.Equal(1, cluster[1].NodesAsked - before);
        }
    }

    [Fact]
    public void ALeaderTellsHowFarOthersAreBehindIt()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string status = client.Send("STATUS");
        Assert.Contains("$4\r\nrole\r\n$6\r\nleader\r\n", status, StringComparison.Ordinal);
        Assert.Contains("$9\r\nfollowers\r\n*1\r\n*8\r\n$4\r\nnode\r\n:3\r\n$11\r\nlag-entries\r\n:7\r\n$9\r\nlag-bytes\r\n:700\r\n$6\r\nlag-ms\r\n:70\r\n", status, StringComparison.Ordinal);
    }

    [Fact]
    public void AConversionTellsOfAllCopies()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        Assert.Equal("+OK\r\n+OK\r\n", client.Send("KEYSPACE CONVERT db0 ENGINE log", "KEYSPACE CONVERT db0 abort"));
        Assert.Equal(["convert db0 log", "abort db0"], cluster[1].Asked.TakeLast(2));
        Assert.StartsWith("-ERR KEYSPACE CONVERT name engine NAME", client.Send("KEYSPACE CONVERT db0 sideways"), StringComparison.Ordinal);
        Assert.Equal("$-1\r\n", client.Send("KEYSPACE CONVERT db0 STATUS"));
        Assert.Equal("-ERR there is no such keyspace: see KEYSPACE LIST\r\n", client.Send("KEYSPACE CONVERT nowhere STATUS"));

        KeyspaceMove move = new() { From = "lsm", To = "log", State = KeyspaceMoveState.Moving, Number = 1 };
        MoveReport report = new() { Group = new GroupId(5), Generation = 0, Number = 1, Engine = "lsm", Stage = ConversionStage.Comparing, Rows = 7 };
        MoveReport done = report with { Engine = "log", Stage = ConversionStage.Done, Rows = 5, Text = "00ff of 5 rows" };
        cluster[1].Move = new MoveOverview(
            "db0", move, [new CopyMove(0, new NodeId(1), done), new CopyMove(0, new NodeId(2), report), new CopyMove(0, new NodeId(3), null)]);
        string told = client.Send("KEYSPACE CONVERT db0 STATUS");
        Assert.StartsWith("*32\r\n$8\r\nkeyspace\r\n$3\r\ndb0\r\n", told, StringComparison.Ordinal);
        Assert.Contains("state\r\n$9\r\ncomparing\r\n$4\r\nrows\r\n:12\r\n", told, StringComparison.Ordinal);
        Assert.Contains("checksum\r\n$47\r\nthe same in 1 of 3 copies; 2 still on their way\r\n", told, StringComparison.Ordinal);
        Assert.Contains("copies-done\r\n:1\r\n$9\r\nwaits-for\r\n*1\r\n$41\r\nshard 0 on node 3: nothing is heard of it\r\n", told, StringComparison.Ordinal);

        // One that was started again has nothing to tell of, and nothing is wrong with it.
        cluster[1].Move = new MoveOverview("db0", move, [new CopyMove(0, new NodeId(1), done), new CopyMove(0, new NodeId(2), done with { Stage = null }), new CopyMove(0, new NodeId(3), report)]);
        Assert.Contains("the same in 1 of 3 copies; 1 had nothing to compare, made or started anew meanwhile; 1 still on its way\r\n", client.Send("KEYSPACE CONVERT db0 STATUS"), StringComparison.Ordinal);
        cluster[1].Move = new MoveOverview("db0", move with { State = KeyspaceMoveState.Done, Copies = 3, Compared = 3 }, []);
        Assert.Contains("\r\nthe same in 3 of 3 copies\r\n", client.Send("KEYSPACE CONVERT db0 STATUS"), StringComparison.Ordinal);

        cluster[1].Move = new MoveOverview("db0", move, [new CopyMove(0, new NodeId(2), report with { Stage = ConversionStage.Failed, Text = "no room" })]);
        told = client.Send("KEYSPACE CONVERT db0 STATUS");
        Assert.Contains("state\r\n$7\r\nwaiting\r\n", told, StringComparison.Ordinal);
        Assert.Contains("shard 0 on node 2: no room; it is tried again", told, StringComparison.Ordinal);

        cluster[1].Move = new MoveOverview("db0", move with { State = KeyspaceMoveState.Failed, Reason = "a key is too long", BeganAtMs = 5, EndedAtMs = 12, Copies = 3 }, []);
        told = client.Send("KEYSPACE CONVERT db0 STATUS");
        Assert.Contains("state\r\n$6\r\nfailed\r\n", told, StringComparison.Ordinal);
        Assert.Contains("reason\r\n$17\r\na key is too long\r\n$10\r\nelapsed-ms\r\n:7\r\n", told, StringComparison.Ordinal);
    }

    [Fact]
    public void SlotsTellTheirKeys()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        for (int i = 0; i < 3; i++)
            client.Send($"SET {{tag}}{i} 1");
        int slot = Slot.OfKey("tag"u8).Value;
        Assert.Equal(":3\r\n", client.Send(string.Create(CultureInfo.InvariantCulture, $"CLUSTER COUNTKEYSINSLOT {slot}")));
        Assert.Equal("*2\r\n$6\r\n{tag}0\r\n$6\r\n{tag}1\r\n", client.Send(string.Create(CultureInfo.InvariantCulture, $"CLUSTER GETKEYSINSLOT {slot} 2")));
        Assert.StartsWith("-ERR Invalid slot", client.Send("CLUSTER COUNTKEYSINSLOT 16384"), StringComparison.Ordinal);
        Assert.Equal("-ERR Invalid slot or number of keys\r\n", client.Send(string.Create(CultureInfo.InvariantCulture, $"CLUSTER GETKEYSINSLOT {slot} -1")));
    }

    [Fact]
    public void AdministrationIsAskedAndAnswers()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        Assert.Equal("+OK\r\n", client.Send("KEYSPACE CREATE books shards 8 replicas 3 engine lsm"));
        Assert.Equal("-ERR there is no such engine\r\n", client.Send("KEYSPACE CREATE books engine heap"));
        Assert.Equal("-ERR 'shards many' is no number\r\n", client.Send("KEYSPACE CREATE books shards many"));
        Assert.StartsWith("-ERR 'colour' is no choice of a keyspace", client.Send("KEYSPACE CREATE books colour blue"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR 'replicas' has no value", client.Send("KEYSPACE CREATE books shards 8 replicas"), StringComparison.Ordinal);
        foreach (string family in (string[])["KEYSPACE", "NODE", "LEADER", "CLUSTER"])
            Assert.Contains($"+{family} <subcommand>", client.Send(family + " HELP"), StringComparison.Ordinal);
        Assert.Equal("-ERR there is no such keyspace: see KEYSPACE LIST\r\n", client.Send("SELECT nowhere"));
        Assert.Equal("-ERR value is not an integer or out of range\r\n", client.Send("SELECT 99999999999999999999"));
        Assert.Contains("cluster_enabled:0", client.Send("INFO cluster"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n+OK\r\n+OK\r\n+OK\r\n", client.Send("KEYSPACE DROP books", "NODE DRAIN 2", "NODE DECOMMISSION 2", "LEADER TRANSFER db0 3 2"));
        Assert.Equal(["drop books", "drain 2", "decommission 2", "transfer db0 3 2"], cluster[1].Asked.TakeLast(4));
        Assert.StartsWith("*2\r\n*16\r\n$4\r\nname\r\n$3\r\ndb0\r\n", client.Send("KEYSPACE LIST"), StringComparison.Ordinal);
        Assert.StartsWith("*16\r\n$4\r\nname\r\n$3\r\ndb1\r\n", client.Send("KEYSPACE SHOW db1"), StringComparison.Ordinal);
        Assert.StartsWith("*2\r\n*14\r\n$2\r\nid\r\n:1\r\n", client.Send("NODE LIST"), StringComparison.Ordinal);
        Assert.StartsWith("*18\r\n$7\r\ncluster\r\n", client.Send("STATUS"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", client.Send("SELECT db1"));
    }

    /// <summary>Whoever drains a node may be about to empty its folder.</summary>
    [Fact]
    public void ADrainNamesShardsThatHaveNoOtherCopy()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        cluster[1].Lone.AddRange([0, 1, 3]);
        Assert.Equal("+OK\r\n", client.Send("NODE DRAIN 3"));
        Assert.Equal(
            "+OK, but these shards have no other copy (db1 0-1, 3): do not wipe node 2 while it has them; node decommission moves them\r\n",
            client.Send("NODE DRAIN 2"));
    }

    [Fact]
    public void ACopyThatIsLackingIsSaidAloud()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        Assert.Contains("cluster_health:unknown\r\n", client.Send("INFO cluster"), StringComparison.Ordinal);
        Assert.EndsWith("$6\r\nhealth\r\n$7\r\nunknown\r\n$8\r\nproblems\r\n*0\r\n", client.Send("STATUS"), StringComparison.Ordinal);

        var request = new JoinRequest { Identity = 1, PeerAddress = "a:1", RespAddress = "a:2" };
        DirectoryRecords records = new();
        foreach (DirectoryChange change in DirectoryOperations.Found(new FoundRequest { ClusterId = 1, Node = request }).Changes)
            records.Apply(change.Key, change.Value);
        cluster[1].Health = DirectoryHealth.Of(records.View, _ => false);
        string info = client.Send("INFO cluster");
        Assert.Contains("cluster_health:degraded\r\n", info, StringComparison.Ordinal);
        Assert.Contains("cluster_shards_under_replicated:65\r\n", info, StringComparison.Ordinal);
        Assert.Contains("cluster_problem_1:65 of 65 shards have fewer copies than promised", info, StringComparison.Ordinal);
        Assert.Contains("*1\r\n$", client.Send("STATUS").Split("problems\r\n")[1], StringComparison.Ordinal);
    }

    [Fact]
    public void SnapshotsThatAreUnderWayAreShown()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        GroupId led = cluster.Groups.First(g => g.Leader == new NodeId(1)).Id;
        Assert.Contains("cluster_snapshots_sending:0\r\ncluster_snapshots_receiving:0\r\n", client.Send("INFO cluster"), StringComparison.Ordinal);
        cluster[1].Going = new SnapshotDispatch(SnapshotStage.Sending, 5, 70);
        Assert.DoesNotContain("cluster_snapshot_of", client.Send("INFO cluster"), StringComparison.Ordinal);
        cluster[1].Snapshots = new SnapshotTotals { Sending = 2, Waiting = 1, Receiving = 4 };
        string info = client.Send("INFO cluster");
        Assert.Contains("cluster_snapshots_sending:3\r\ncluster_snapshots_receiving:4\r\n", info, StringComparison.Ordinal);
        Assert.Contains($"cluster_snapshot_of_{led}_to_3:stage=sending,bytes=5,total=70\r\n", info, StringComparison.Ordinal);
        string status = client.Send("STATUS");
        Assert.Contains("\r\nfollowers\r\n*1\r\n*14\r\n", status, StringComparison.Ordinal);
        Assert.Contains(
            "$6\r\nlag-ms\r\n:70\r\n$8\r\nsnapshot\r\n$7\r\nsending\r\n$14\r\nsnapshot-bytes\r\n:5\r\n$14\r\nsnapshot-total\r\n:70\r\n", status, StringComparison.Ordinal);

        cluster[1].Going = null;
        cluster[1].Coming = new SnapshotArrival(new NodeId(2), 6, Total: null);
        cluster[1].SnapshotFailure = "no room";
        Assert.Contains($"cluster_snapshot_of_{led}_from_2:stage=receiving,bytes=6\r\n", client.Send("INFO cluster"), StringComparison.Ordinal);
        status = client.Send("STATUS");
        Assert.Contains("*38\r\n$5\r\ngroup\r\n", status, StringComparison.Ordinal);
        Assert.Contains(
            "$13\r\nsnapshot-from\r\n:2\r\n$14\r\nsnapshot-bytes\r\n:6\r\n$16\r\nsnapshot-failure\r\n$7\r\nno room\r\n", status, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SWAPDB 0 1")]
    [InlineData("SAVE")]
    [InlineData("BGSAVE")]
    [InlineData("DEBUG RELOAD")]
    [InlineData("DEBUG DIGEST")]
    [InlineData("MOVE a 1")]
    [InlineData("COPY a a DB 1")]
    [InlineData("CONFIG SET appendfsync no")]
    public void WhatOnlyALoneNodeCanIsRefused(string line)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1), other = new(cluster, 2);
        Assert.StartsWith("-ERR", client.Send(line), StringComparison.Ordinal);
        Assert.StartsWith("-ERR", other.Send(line), StringComparison.Ordinal);
        Assert.StartsWith("$", client.Send("INFO"), StringComparison.Ordinal);
    }

    [Fact]
    public void InfoTellsTheKeysOfThisNodesCopies()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string[] keys = [cluster.KeyLedBy(1), cluster.KeyLedBy(1, 1), cluster.KeyLedBy(1, 2)];
        client.Send($"SET {keys[0]} 1 EX 100", $"SET {keys[1]} 1 EX 100", $"SET {keys[2]} 1");
        Assert.Contains("db0:keys=3,expires=2,avg_ttl=100", client.Send("INFO keyspace"), StringComparison.Ordinal);
        client.Send($"DEL {keys[0]}");
        Assert.Contains("db0:keys=2,expires=1,avg_ttl=100", client.Send("INFO keyspace"), StringComparison.Ordinal);

        // Asked for where there is no majority, it waits for none.
        cluster.GroupOf(keys[0]).CommitsAtOnce = false;
        Assert.Equal("", client.Send($"SET {keys[0]} 1"));
        ClusterClient other = new(cluster, 1);
        Assert.Contains("db0:keys=3,", other.Send("INFO keyspace"), StringComparison.Ordinal);
    }

    [Fact]
    public void ServerThatIsAloneHasNoClusterToAdminister()
    {
        using Commands.CommandWorld world = new();
        foreach (string line in (string[])["STATUS", "NODE LIST", "LEADER TRANSFER db0 0 1"])
            Assert.Equal("-ERR this server is not part of a cluster\r\n", world.Connect().Execute(line));
    }

    [Fact]
    public void EveryCommandHasAPageThatClientsCanRead()
    {
        using Commands.CommandWorld world = new();
        byte[] pages = world.Execute("COMMAND", "DOCS");
        Assert.Equal(pages.Length, Wire.Resp.RespReplyReader.Measure(pages, out _));
        foreach (Server.Sessions.CommandEntry command in world.Server.Commands.AllWithSubcommands)
        {
            byte[] page = world.Execute("COMMAND", "DOCS", command.FullName);
            Assert.True(page.Length == Wire.Resp.RespReplyReader.Measure(page, out _), $"the page of {command.FullName} is not whole");
        }
    }

    [Fact]
    public void ExpiredKeysAreSweptByTheirLeaders()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        for (int i = 0; i < 40; i++)
            client.Send($"SET key{i} 1 PX 100");
        cluster.Advance(200);
        cluster.Depose(cluster.Groups[0]);
        foreach (NodeOfCluster node in cluster.Nodes)
            node.Server.Expiry.Post();
        Assert.NotEqual(0, cluster.Groups[0].CountStored());
        Assert.All(cluster.Groups.Skip(1), static g => Assert.Equal(0, g.CountStored()));
    }

    [Fact]
    public void NumbersOfShardsWaitForNoneOfThem()
    {
        ClusterInMemory cluster = new();
        string[] keys = [cluster.KeyLedBy(1), Enumerable.Range(1, 100).Select(i => cluster.KeyLedBy(1, i)).First(k => cluster.GroupOf(k) != cluster.GroupOf(cluster.KeyLedBy(1)))];
        foreach (GroupInMemory group in cluster.Groups)
            group.CommitsAtOnce = false;
        foreach (string key in keys)
            Assert.Equal("", new ClusterClient(cluster, 1).Send($"SET {key} 1"));

        // Both shards have a write under way.
        Assert.Contains("db0:keys=2,", new ClusterClient(cluster, 1).Send("INFO keyspace"), StringComparison.Ordinal);

        // What goes before it in a pipeline waits as ever.
        ClusterClient both = new(cluster, 1);
        Assert.Equal("", both.Send($"SET {keys[0]} 2", "INFO keyspace"));
        Assert.True(cluster.GroupOf(keys[0]).TryCommit());
        cluster[1].Committed(cluster.GroupOf(keys[0]));
        string replies = both.Wait(100);
        Assert.StartsWith("+OK\r\n", replies, StringComparison.Ordinal);
        Assert.Contains("db0:keys=2,", replies, StringComparison.Ordinal);
    }

    private static ClusterInMemory Filled(out ClusterClient client)
    {
        ClusterInMemory cluster = new();
        client = new ClusterClient(cluster, 1);
        for (int i = 0; i < KeyCount; i++)
            Assert.Equal("+OK\r\n", client.Send($"SET key{i} {i}"));
        return cluster;
    }
}
