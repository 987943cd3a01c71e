using System.Buffers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// The memory that the entries of all groups of a node share, in chunks from a pool, and how much of it may be used before
/// somebody must let go of what the files have, too. Inside the mailbox.
/// </summary>
internal sealed class EntryMemory(long bytesMax)
{
    private const int ChunksKept = 256;

    private readonly Stack<EntryChunk> _spare = new();

    public long BytesMax { get; } = bytesMax;

    /// <summary>Of all chunks in use, full or not.</summary>
    public long Bytes { get; private set; }

    public bool IsFull => Bytes > BytesMax;

    public EntryChunk Take(int bytes)
    {
        EntryChunk chunk = _spare.TryPop(out EntryChunk? spare) ? spare : new EntryChunk();
        chunk.Bytes = ArrayPool<byte>.Shared.Rent(bytes);
        Bytes += chunk.Bytes.Length;
        return chunk;
    }

    public void Return(EntryChunk chunk)
    {
        Bytes -= chunk.Bytes.Length;
        ArrayPool<byte>.Shared.Return(chunk.Bytes);
        (chunk.Bytes, chunk.Used, chunk.Entries) = ([], 0, 0);
        if (_spare.Count < ChunksKept)
            _spare.Push(chunk);
    }
}

/// <summary>A run of entries' bytes. It goes when the last entry in it does.</summary>
internal sealed class EntryChunk
{
    public byte[] Bytes { get; set; } = [];

    public int Used { get; set; }

    public int Entries { get; set; }
}
