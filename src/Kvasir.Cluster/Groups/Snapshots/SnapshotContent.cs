using Kvasir.Primitives;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>What a snapshot consists of, cut into chunks, each of which can be made again. Inside the mailbox.</summary>
internal abstract class SnapshotContent : IDisposable
{
    /// <summary>The payload of a chunk, about.</summary>
    public const int ChunkBytes = 256 << 10;

    /// <summary>What every chunk of it says of itself.</summary>
    public abstract SnapshotChunkFlags Kind { get; }

    /// <summary>Bytes of the chunks that were made, each counted once.</summary>
    public abstract long BytesMade { get; }

    /// <summary>Bytes of all chunks; null where that is known only behind the last.</summary>
    public abstract long? BytesTotal { get; }

    /// <summary>The next chunk to be made is this one, which was made before and is one of the last few.</summary>
    public abstract void GoTo(ulong chunk);

    /// <summary>Adds the payload of the next chunk, behind the head where it is the first; true when it is the last.</summary>
    public abstract bool Add(BytesBuffer to, ulong chunk);

    public abstract void Dispose();
}
