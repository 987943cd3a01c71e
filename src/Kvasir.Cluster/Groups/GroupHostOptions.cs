using Kvasir.Raft;

namespace Kvasir.Cluster.Groups;

internal sealed record GroupHostOptions
{
    /// <summary>The same on all nodes of a cluster.</summary>
    public RaftSettings Raft { get; init; } = new();

    /// <summary>Memory for the newest entries of all groups.</summary>
    public long EntryBytesMax { get; init; } = 64L << 20;

    /// <summary>A batch to a peer leaves when it has so many bytes, and another is begun.</summary>
    public int BatchBytesMax { get; init; } = 1 << 20;

    /// <summary>
    /// Bytes of entries that go to followers which lag behind, in one turn, of all groups: they are read back from the journal, and
    /// whoever waits for the mailbox waits for that.
    /// </summary>
    public long OldBytesPerTurn { get; init; } = 512 << 10;

    /// <summary>Who lacks so many bytes of entries is sent a snapshot instead, where that has no more and is of files.</summary>
    public long SnapshotInsteadBytes { get; init; } = 4L << 20;

    /// <summary>Bytes of entries that are applied from the log in one turn, of all groups.</summary>
    public long ApplyBytesPerTurn { get; init; } = 256 << 10;

    /// <summary>Memory of one group for what its log says of writes that were forwarded (<see cref="Replicas.SessionTable"/>).</summary>
    public int SessionBytesMax { get; init; } = Replicas.SessionTable.DefaultBytesMax;

    /// <summary>Free space that ends the time of a full disk; for people, who have to make it.</summary>
    public long RoomBytes { get; init; }

    /// <summary>Clocks are looked at in steps of this, so that the heartbeats of many groups meet in one batch.</summary>
    public TimeSpan TickStep { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Who has written waits so long, once this node leads no more, for news of what became of it.</summary>
    public TimeSpan DoubtPatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>So long after a write, or after so many, its leader has the replicas compared.</summary>
    public TimeSpan ComparedAfter { get; init; } = TimeSpan.FromSeconds(1);

    public int ComparedEntriesMax { get; init; } = 4096;
}
