using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>
/// The end of the log, in memory: what no file holds yet, and behind it what files hold and memory has room for. The writer appends;
/// the list of chunks has a lock of its own.
/// </summary>
internal sealed unsafe class TailLog
{
    private const long FirstChunkBytes = 64 << 10;

    // Beyond the end of a chunk nothing comes of it.
    private const int AheadBytes = 512;

    private readonly MemoryBudget _budget;
    private readonly long _chunkBytesMax;
    private readonly Lock _lock = new();

    /// <summary>Oldest first; the flushed ones are the first.</summary>
    private readonly List<TailChunk> _chunks = [];
    private TailChunk? _active;
    private long _chunkBytes = FirstChunkBytes;
    private long _bytes;
    private long _flushedBytes;

    public TailLog(MemoryBudget budget, long chunkBytesMax)
    {
        _budget = budget;
        _chunkBytesMax = Math.Min(chunkBytesMax, SpareChunks.ChunkBytes);
        _chunkBytes = Math.Min(FirstChunkBytes, _chunkBytesMax);
    }

    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>In chunks that files hold.</summary>
    public long FlushedBytes => Interlocked.Read(ref _flushedBytes);

    public long UnflushedBytes => Bytes - FlushedBytes;

    /// <summary>Bytes appended since the beginning; by the writer.</summary>
    public long Appended { get; private set; }

    /// <summary>A record with its key and value, which <see cref="Commit"/> makes one of the log. By the writer.</summary>
    public TailRecord* Append(RecordKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, uint check, long expiresAtMs)
    {
        long bytes = TailRecord.SizeOf(kind, key.Length, value.Length);
        TailRecord* record = _active == null ? null : _active.Place(bytes);
        if (record == null)
        {
            AddChunk(bytes, sequence);
            record = _active!.Place(bytes);
        }

        // Of the records after this one: the first atomic operation behind a write waits until all of it is in the cache.
        if (Sse.IsSupported)
            TailRecord.Prefetch((TailRecord*)((byte*)record + AheadBytes));
        record->Previous = 0;
        record->Sequence = sequence;
        record->Home = 0;
        record->Next = 0;
        record->KeyLength = key.Length;
        record->ValueLength = value.Length;
        record->Check = check;
        record->Kind = kind;
        record->IsWithdrawn = false;
        record->IsWritten = false;
        byte* bytesOf = (byte*)(record + 1);
        key.CopyTo(new Span<byte>(bytesOf, key.Length));
        value.CopyTo(new Span<byte>(bytesOf + key.Length, value.Length));
        if (kind == RecordKind.ExpiringValue)
            *TailRecord.Deadline(record) = expiresAtMs;
        return record;
    }

    public void Commit(TailRecord* record)
    {
        long bytes = TailRecord.SizeOf(record);
        _active!.Advance(bytes, record->Sequence);
        Appended += bytes;
        if (_active.Bytes <= _chunkBytesMax)
            return;

        // Made for this record alone. As the active one it would count as memory for writes until the next write, which may wait for it.
        lock (_lock)
            _active = null;
    }

    /// <summary>The next record begins a chunk, a small one, if nothing behind a sequence number is in the last. With the writer's lock.</summary>
    public bool TryCloseActive(ulong sequence)
    {
        if (_active == null || _active.LastSequence > sequence)
            return false;
        lock (_lock)
            _active = null;
        _chunkBytes = Math.Min(FirstChunkBytes, _chunkBytesMax);
        return true;
    }

    /// <summary>Chunks with records behind a sequence number, oldest first.</summary>
    public List<TailChunk> ChunksAfter(ulong sequence)
    {
        var chunks = new List<TailChunk>();
        lock (_lock)
        {
            for (int i = _chunks.Count - 1; i >= 0 && (_chunks[i].LastSequence > sequence || _chunks[i] == _active); i--)
                chunks.Add(_chunks[i]);
        }

        chunks.Reverse();
        return chunks;
    }

    /// <summary>Files hold everything up to here, or it was withdrawn.</summary>
    public void MarkFlushed(ulong sequence)
    {
        lock (_lock)
        {
            foreach (TailChunk chunk in _chunks)
            {
                if (chunk.IsFlushed)
                    continue;
                if (chunk.LastSequence > sequence || chunk == _active)
                    break;
                chunk.BecomeCache(_budget);
                Interlocked.Add(ref _flushedBytes, chunk.Bytes);
            }
        }
    }

    /// <summary>Nothing here has a smaller sequence number.</summary>
    public ulong FirstSequence
    {
        get
        {
            lock (_lock)
                return _chunks.Count == 0 ? ulong.MaxValue : _chunks[0].FirstSequence;
        }
    }

    /// <summary>The oldest chunk, if files hold it.</summary>
    public TailChunk? OldestFlushed
    {
        get
        {
            lock (_lock)
                return _chunks.Count > 0 && _chunks[0].IsFlushed ? _chunks[0] : null;
        }
    }

    /// <summary>No entry of the index leads into it any more.</summary>
    public void Drop(TailChunk chunk)
    {
        lock (_lock)
        {
            Check.That(_chunks[0] == chunk && chunk.IsFlushed);
            _chunks.RemoveAt(0);
            Interlocked.Add(ref _bytes, -chunk.Bytes);
            Interlocked.Add(ref _flushedBytes, -chunk.Bytes);
        }
    }

    public void Free()
    {
        lock (_lock)
        {
            foreach (TailChunk chunk in _chunks)
                chunk.Free(_budget);
            _chunks.Clear();
            _active = null;
        }
    }

    private void AddChunk(long bytes, ulong sequence)
    {
        var chunk = new TailChunk(_budget, Math.Max(bytes, _chunkBytes), sequence);
        _chunkBytes = Math.Min(_chunkBytes * 2, _chunkBytesMax);
        lock (_lock)
        {
            _chunks.Add(chunk);
            _active = chunk;
            Interlocked.Add(ref _bytes, chunk.Bytes);
        }
    }
}
