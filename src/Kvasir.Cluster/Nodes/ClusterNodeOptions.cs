using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Raft;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>Settings of one node of a cluster.</summary>
public sealed record ClusterNodeOptions
{
    /// <summary>The data folder: made when missing, refused when another process has it.</summary>
    public required string Folder { get; init; }

    /// <summary>Where other nodes reach this one, <c>host:port</c>.</summary>
    public required string PeerAddress { get; init; }

    /// <summary>Where clients reach it.</summary>
    public required string RespAddress { get; init; }

    public string HttpAddress { get; init; } = "";

    public Locality Locality { get; init; } = Locality.None;

    /// <summary>Nodes to ask to be let in. An empty folder without any founds a cluster.</summary>
    public IReadOnlyList<PeerAddress> Seeds { get; init; } = [];

    /// <summary>Of a cluster that is founded: databases, shards of each, copies of each.</summary>
    public int DatabaseCount { get; init; } = 16;

    /// <summary>That number was asked for: where the cluster has another, people are told so.</summary>
    public bool IsDatabaseCountAsked { get; init; }

    public int ShardsPerDatabase { get; init; } = 4;

    public int Replicas { get; init; } = 3;

    /// <summary>The engine of the directory, an ordered one; and of databases that are founded, where no other is said.</summary>
    public string Engine { get; init; } = "lsm";

    /// <summary>The engines of databases that are founded, in turn; none for <see cref="Engine"/>.</summary>
    public IReadOnlyList<string> DatabaseEngines { get; init; } = [];

    /// <summary>Memtables and caches of all replicas together.</summary>
    public long MemoryBytes { get; init; } = 1L << 30;

    /// <summary>Journal kept before the engine that holds it back is told to flush.</summary>
    public long JournalBytesMax { get; init; } = 512L << 20;

    /// <summary>Memory for the newest entries of all groups.</summary>
    public long EntryBytesMax { get; init; } = 64L << 20;

    /// <summary>Of entries, to followers that lag behind, between two other pieces of work.</summary>
    public long OldBytesPerTurn { get; init; } = 512 << 10;

    /// <summary>Who lacks so many bytes of a shard's entries is sent a snapshot instead, where that costs less.</summary>
    public long SnapshotInsteadBytes { get; init; } = 4L << 20;

    /// <summary>Memory of each shard for what its log says of writes that were forwarded.</summary>
    public int SessionBytesMax { get; init; } = SessionTable.DefaultBytesMax;

    /// <summary>What snapshots for other nodes may take of disk and network, all together.</summary>
    public long SnapshotBytesPerSecond { get; init; } = 128L << 20;

    /// <summary>What conversions to another engine read of replicas, at most, all together: the rest is for those who are served.</summary>
    public long ConversionBytesPerSecond { get; init; } = 64L << 20;

    /// <summary>
    /// Free space that must be there after the disk was full before the node goes on: with less it would soon be full again,
    /// and leadership move to and fro. As much is kept (<c>RESERVE</c>) for a start on a full disk; 0 for neither.
    /// </summary>
    public long RoomBytes { get; init; }

    public JournalOptions Journal { get; init; } = new();

    /// <summary>The same on all nodes.</summary>
    public RaftSettings Raft { get; init; } = new();

    public UpkeepSettings Upkeep { get; init; } = new();
}
