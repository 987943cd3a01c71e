using static Kvasir.Cli.Tests.ScriptedServer;

namespace Kvasir.Cli.Tests.Administration;

/// <summary>Three nodes that answer STATUS, each for its own replicas; a test changes what they say.</summary>
internal sealed class FakeCluster : IDisposable
{
    private readonly ScriptedServer[] _nodes;

    public FakeCluster() => _nodes = [.. Enumerable.Range(1, 3).Select(i => new ScriptedServer(words => Answer(i, words)))];

    /// <summary>Commands other than STATUS that came in.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>What commands other than STATUS are answered.</summary>
    public string Reply { get; set; } = "+OK\r\n";

    /// <summary>Nodes that close every connection.</summary>
    public HashSet<int> Silent { get; } = [];

    /// <summary>The roles of each node in the two groups, 11 and 12; "" where it has no replica.</summary>
    public string[][] Roles { get; } = [["leader", "follower"], ["follower", "leader"], ["follower", "follower"]];

    public string Disk { get; set; } = "ok";

    /// <summary>What leaders say of node 3: entries and bytes that it lacks, and for how long, where they say that.</summary>
    public (int Entries, int Bytes, int? Ms) Lacking { get; set; }

    /// <summary>What the leader of the first shard says of the snapshot that node 3 needs, if it needs one.</summary>
    public (string Stage, int Bytes, int? Total)? Snapshot { get; set; }

    /// <summary>What node 3 says of the last snapshot that came to nothing there.</summary>
    public string? SnapshotFailure { get; set; }

    /// <summary>Nodes of which no leader has heard.</summary>
    public HashSet<int> Unheard { get; } = [];

    public int LagMs { get; set; } = 2;

    /// <summary>Nodes that were there once.</summary>
    public HashSet<int> Decommissioned { get; } = [];

    public List<string> Problems { get; } = [];

    public string Port => _nodes[0].Port;

    public void Dispose()
    {
        foreach (ScriptedServer node in _nodes)
            node.Dispose();
    }

    private string? Answer(int node, string[] words)
    {
        if (Silent.Contains(node))
            return null;
        if (words[0] == "STATUS")
            return Status(node);
        lock (Asked)
            Asked.Add($"{node}: {string.Join(' ', words)}");
        return Reply;
    }

    private string Status(int node) => Map(
        ("cluster", Text("4f2a")),
        ("node", Number(node)),
        ("directory-leader", Number(2)),
        ("problems", List(Problems.Select(Text))),
        ("nodes", List(Enumerable.Range(1, 3).Select(i => Map(
            ("id", Number(i)), ("state", Text(Decommissioned.Contains(i) ? "decommissioned" : "active")), ("reachable", Number(1)), ("resp", Text(_nodes[i - 1].Address.ToString())),
            ("peer", Text($"127.0.0.1:{7000 + i}")), ("http", Text("")), ("locality", Text($"zone={(char)('a' + i)}")), ("of-a-later-version", Number(1)))))),
        ("keyspaces", List(Map(
            ("name", Text("db0")), ("engine", Text("lsm")), ("partitioning", Text("static")), ("shards", Number(2)), ("replication", Text("raft")),
            ("replicas", Number(3)), ("durability", Text("sync"))))),
        ("groups", List(Enumerable.Range(0, 2).Select(shard => Map(
            ("id", Number(11 + shard)), ("keyspace", Text("db0")), ("shard", Number(shard)), ("epoch", Number(1)),
            ("replicas", List(Number(1), Number(2), Number(3))))))),
        ("replicas", List(Enumerable.Range(0, 2).Where(shard => Roles[node - 1][shard].Length > 0).Select(shard => Map([
            ("group", Number(11 + shard)), ("role", Text(Roles[node - 1][shard])), ("term", Number(5)), ("leader", Number(1 + shard)),
            ("voters", List(Number(1), Number(2), Number(3))), ("learners", List()), ("commit", Number(100)), ("applied", Number(99)),
            ("lag-entries", Number(1)), ("lag-bytes", Number(120)), ("lag-ms", Number(LagMs)), ("lease", Number(1)), ("disk", Text(node == 3 ? Disk : "ok")),
            .. FailureOf(node),
            ("followers", List(Roles[node - 1][shard] == "leader" ? [.. Enumerable.Range(1, 3).Where(i => i != node && !Unheard.Contains(i)).Select(i => Follower(i, shard))] : []))])))));

    private (string, string)[] FailureOf(int node) => node == 3 && SnapshotFailure is { } failure ? [("snapshot-failure", Text(failure))] : [];

    private string Follower(int node, int shard)
    {
        if (node != 3)
            return Map(("node", Number(node)), ("lag-entries", Number(0)), ("lag-bytes", Number(0)), ("lag-ms", Number(0)));
        List<(string, string)> fields = [("node", Number(3)), ("lag-entries", Number(Lacking.Entries)), ("lag-bytes", Number(Lacking.Bytes))];
        if (Lacking.Ms is { } ms)
            fields.Add(("lag-ms", Number(ms)));
        if (shard == 0 && Snapshot is { } snapshot)
        {
            fields.AddRange([("snapshot", Text(snapshot.Stage)), ("snapshot-bytes", Number(snapshot.Bytes))]);
            if (snapshot.Total is { } total)
                fields.Add(("snapshot-total", Number(total)));
        }

        return Map([.. fields]);
    }
}
