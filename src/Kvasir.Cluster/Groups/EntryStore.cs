using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// The newest entries of one group's log, with their bytes, without gaps up to the log's end. Older ones are only in the
/// journal. Its owner drops from the front what is durable, when memory is short. Inside the mailbox.
/// </summary>
internal sealed class EntryStore(EntryMemory memory, IEntryArchive archive) : IEntrySizes, IEntryBytes
{
    private const int ChunkBytesMin = 4 << 10;
    private const int ChunkBytesMax = 256 << 10;
    private const int SlotsMin = 16;
    private const int SlotBytes = 40;

    // What an entry takes in a message, beside its bytes, about.
    private const int EntryOverhead = 4;

    // A ring: entry First + i is in slot (_head + i) modulo its length, which is a power of two.
    private Slot[] _slots = new Slot[SlotsMin];
    private int _head;
    private int _count;
    private EntryChunk? _tail;
    private int _chunkBytes = ChunkBytesMin;

    /// <summary>The oldest entry that is here; <see cref="Next"/> when none is.</summary>
    public LogIndex First { get; private set; } = new(1);

    /// <summary>Right behind the log's end.</summary>
    public LogIndex Next => First + (ulong)_count;

    /// <summary>Of the entries that are here.</summary>
    public long Bytes { get; private set; }

    /// <summary>What all of it takes of memory, about.</summary>
    public long Weight => Bytes + ((long)_count * SlotBytes);

    // Of all entries ever added and not truncated.
    private long _total;

    public bool Holds(LogIndex index) => index >= First && index < Next;

    /// <summary>The log ends here, and nothing of it is in memory.</summary>
    public void Reset(LogIndex last)
    {
        DropBefore(Next);
        First = last.Next;
    }

    /// <summary>The next entry; or one that takes the place of an entry that is there, and of all behind it.</summary>
    public void Add(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes)
    {
        if (index < Next)
            TruncateFrom(index);
        Check.That(index == Next, $"entry {index} is kept in a log that ends before {Next}");
        if (_count == _slots.Length)
            Resize(_slots.Length * 2);
        EntryChunk chunk = ChunkFor(bytes.Length);
        bytes.CopyTo(chunk.Bytes.AsSpan(chunk.Used));
        _total += bytes.Length;
        _slots[(_head + _count++) & (_slots.Length - 1)] = new Slot(chunk, chunk.Used, bytes.Length, kind, term, _total);
        chunk.Used += bytes.Length;
        chunk.Entries++;
        Bytes += bytes.Length;
    }

    /// <summary>This entry and all behind it are no longer in the log.</summary>
    public void TruncateFrom(LogIndex index)
    {
        if (index < First)
        {
            Reset(index.Previous);
            return;
        }

        while (Next > index)
        {
            ref Slot slot = ref _slots[(_head + --_count) & (_slots.Length - 1)];
            if (slot.Chunk == _tail)
                slot.Chunk.Used = slot.Offset;
            _total -= slot.Length;
            Release(ref slot);
        }
    }

    /// <summary>Entries before this one are in the files, or not needed again.</summary>
    public void DropBefore(LogIndex index)
    {
        while (_count > 0 && First < index)
        {
            Release(ref _slots[_head]);
            _head = (_head + 1) & (_slots.Length - 1);
            _count--;
            First = First.Next;
        }

        if (_count == 0)
            _chunkBytes = ChunkBytesMin;
        if (_slots.Length > 64 * SlotsMin && _count < _slots.Length / 8)
            Resize(_slots.Length / 4);
    }

    public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
    {
        if (first < First)
            return archive.Fit(first, LogIndex.Least(last, First.Previous), bytesMax, out bytes);
        bytes = 0;
        LogIndex at = first;
        for (; at <= last; at = at.Next)
        {
            int size = At(at).Length + EntryOverhead;
            if (at > first && bytes + size > bytesMax)
                break;
            bytes += size;
        }

        return at.Previous;
    }

    public EntryKind KindOf(LogIndex index) => At(index).Kind;

    public Term TermOf(LogIndex index) => At(index).Term;

    public ReadOnlySpan<byte> BytesOf(LogIndex index)
    {
        ref readonly Slot slot = ref At(index);
        return slot.Chunk.Bytes.AsSpan(slot.Offset, slot.Length);
    }

    /// <summary>Of the entries behind this one, as far as they are here.</summary>
    public long BytesBehind(LogIndex index) =>
        index >= Next.Previous ? 0 : index < First ? Bytes : _total - At(index).Total;

    private ref readonly Slot At(LogIndex index)
    {
        Check.That(Holds(index), $"entry {index} is not in memory, which has {First} to before {Next}");
        return ref _slots[(_head + (int)(index - First)) & (_slots.Length - 1)];
    }

    private EntryChunk ChunkFor(int bytes)
    {
        if (_tail is { } tail && tail.Bytes.Length - tail.Used >= bytes)
            return tail;

        // Small while little is held, so that a thousand idle groups take little.
        if (_tail is not null)
            _chunkBytes = Math.Min(_chunkBytes * 4, ChunkBytesMax);
        return _tail = memory.Take(Math.Max(_chunkBytes, bytes));
    }

    private void Release(ref Slot slot)
    {
        Bytes -= slot.Length;
        EntryChunk chunk = slot.Chunk;
        slot = default;
        if (--chunk.Entries > 0)
            return;
        if (chunk == _tail)
            _tail = null;
        memory.Return(chunk);
    }

    private void Resize(int length)
    {
        var slots = new Slot[length];
        for (int i = 0; i < _count; i++)
            slots[i] = _slots[(_head + i) & (_slots.Length - 1)];
        (_slots, _head) = (slots, 0);
    }

    private readonly record struct Slot(EntryChunk Chunk, int Offset, int Length, EntryKind Kind, Term Term, long Total);
}

/// <summary>What the files know of the entries that are no longer in memory.</summary>
internal interface IEntryArchive
{
    /// <inheritdoc cref="IEntrySizes.Fit"/>
    LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes);
}
