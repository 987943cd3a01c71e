using Kvasir.Cluster.Transport;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// A snapshot that arrives, and becomes an engine of its own. That takes the replica's place when all of it is in files. Inside the
/// mailbox.
/// </summary>
internal abstract class SnapshotReceiver(RaftGroup group, NodeId from, ulong stream, SnapshotHead head, string engineName, string folder)
{
    public RaftGroup Group { get; } = group;

    public NodeId From { get; } = from;

    public ulong Stream { get; } = stream;

    public SnapshotHead Head { get; } = head;

    /// <summary>The word of its factory.</summary>
    public string EngineName { get; } = engineName;

    public string Folder { get; } = folder;

    /// <summary>Chunks that have come.</summary>
    public ulong Chunks { get; protected set; }

    /// <summary>Bytes of their content.</summary>
    public long Bytes { get; protected set; }

    /// <summary>Bytes of all content that is to come; null where nobody has said.</summary>
    public abstract long? BytesTotal { get; }

    public bool IsWhole { get; protected set; }

    public TimeSpan HeardAt { get; set; }

    /// <summary>More has come than it takes at the moment.</summary>
    public bool OwesAcknowledgement { get; set; }

    /// <summary>What each chunk of it says of itself.</summary>
    public abstract SnapshotChunkFlags Kind { get; }

    /// <summary>Another chunk may come.</summary>
    public abstract bool TakesMore { get; }

    /// <summary>Nothing becomes of it.</summary>
    public abstract bool HasFailed { get; }

    /// <summary>Why, where that is known.</summary>
    public abstract string? Failure { get; }

    public abstract bool IsInFiles { get; }

    /// <summary>Takes the next chunk; false when it makes no sense, or is refused.</summary>
    public abstract bool TryTake(ReadOnlySpan<byte> content, bool isLast);

    /// <summary>The engine, once <see cref="IsInFiles"/>; the caller's from now on.</summary>
    public abstract IStorageEngine TakeEngine();

    /// <summary>Nothing becomes of it. An engine that was taken stays.</summary>
    /// <param name="discard">Throws away what is on the disk; called when nobody has it open, by whatever thread. Null: it stays.</param>
    public abstract void Drop(Action? discard);
}
