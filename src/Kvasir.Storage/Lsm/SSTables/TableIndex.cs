using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// The index of one table in memory: for every data block its place and a separator, a key that is not smaller than any
/// of the block's and smaller than any of the next block's. The eight bytes that follow the separators' common prefix
/// lie in an array of their own, as numbers, so that a search touches whole keys only where those are equal.
/// <para>
/// Layout of the memory, for n blocks: n prefix numbers, n + 1 block offsets, n + 1 offsets into the separators, the
/// separators.
/// </para>
/// </summary>
internal sealed unsafe class TableIndex : IDisposable
{
    private readonly NativeBytes _memory;
    private readonly ulong* _prefixes;
    private readonly long* _offsets;
    private readonly int* _keyStarts;
    private readonly byte* _keys;
    private readonly byte[] _commonPrefix;

    private TableIndex(NativeBytes memory, int count, byte[] commonPrefix)
    {
        _memory = memory;
        Count = count;
        _commonPrefix = commonPrefix;
        _prefixes = (ulong*)memory.Pointer;
        _offsets = (long*)(_prefixes + count);
        _keyStarts = (int*)(_offsets + count + 1);
        _keys = (byte*)(_keyStarts + count + 1);
    }

    /// <summary>Number of data blocks.</summary>
    public int Count { get; }

    public int MemoryBytes => _memory.Length;

    /// <summary>Reads an index block; the data blocks must fill [header, <paramref name="dataEnd"/>) exactly.</summary>
    public static TableIndex Read(ReadOnlySpan<byte> block, string path, long offset, long dataEnd, MemoryBudget? budget)
    {
        // Two passes: sizes, then content.
        var reader = new IndexBlockReader(block);
        int count = 0;
        long keyBytes = 0;
        long end = SSTableFormat.HeaderBytes;
        while (reader.MoveNext())
        {
            count++;
            keyBytes += reader.KeyLength;
            end += reader.BlockLength + (long)SSTableFormat.BlockTrailerBytes;
        }

        if (reader.Malformed || end != dataEnd)
            throw new CorruptionException(path, offset, "index block");
        long size = ((long)count * 8) + ((count + 1L) * 8) + ((count + 1L) * 4) + keyBytes;
        if (size > int.MaxValue)
            throw new CorruptionException(path, offset, "index block is too large");
        var memory = new NativeBytes((int)size, budget);
        try
        {
            return Fill(block, memory, count, path, offset);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>The first block whose separator is at or after <paramref name="key"/>; <see cref="Count"/> for none.</summary>
    public int Find(ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> common = _commonPrefix;
        int shared = key.CommonPrefixLength(common);
        if (shared < common.Length)
            return shared == key.Length || key[shared] < common[shared] ? 0 : Count;
        ulong wanted = PrefixNumber(key[common.Length..]);
        int low = FirstAtLeast(wanted);
        if (low == Count || _prefixes[low] != wanted)
            return low;

        // Equal numbers: keys decide among [low, high).
        int high = wanted == ulong.MaxValue ? Count : FirstAtLeast(wanted + 1);
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (Separator(middle).SequenceCompareTo(key) < 0)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    public BlockHandle Handle(int block)
    {
        long offset = _offsets[block];
        return new BlockHandle(offset, (int)(_offsets[block + 1] - offset) - SSTableFormat.BlockTrailerBytes);
    }

    public ReadOnlySpan<byte> Separator(int block) =>
        new(_keys + _keyStarts[block], _keyStarts[block + 1] - _keyStarts[block]);

    public void Dispose() => _memory.Dispose();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int FirstAtLeast(ulong wanted)
    {
        // Without branches that depend on the data: the processor cannot guess them.
        ulong* from = _prefixes;
        int length = Count;
        while (length > 1)
        {
            int half = length >> 1;
            from += from[half - 1] < wanted ? half : 0;
            length -= half;
        }

        int at = (int)(from - _prefixes);
        return length == 1 && *from < wanted ? at + 1 : at;
    }

    private static TableIndex Fill(ReadOnlySpan<byte> block, NativeBytes memory, int count, string path, long offset)
    {
        var index = new TableIndex(memory, count, []);
        var reader = new IndexBlockReader(block);
        long at = SSTableFormat.HeaderBytes;
        int keyStart = 0;
        int i = 0;
        while (reader.MoveNext())
        {
            index._offsets[i] = at;
            index._keyStarts[i] = keyStart;
            var to = new Span<byte>(index._keys + keyStart, reader.KeyLength);
            if (i > 0)
            {
                ReadOnlySpan<byte> before = index.SeparatorBefore(i);
                if (reader.Shared > before.Length)
                    throw new CorruptionException(path, offset, "index block");
                before[..reader.Shared].CopyTo(to);
            }
            else if (reader.Shared != 0)
            {
                throw new CorruptionException(path, offset, "index block");
            }

            reader.Suffix.CopyTo(to[reader.Shared..]);
            if (i > 0 && index.SeparatorBefore(i).SequenceCompareTo(to) > 0)
                throw new CorruptionException(path, offset, "index keys out of order");
            keyStart += reader.KeyLength;
            at += reader.BlockLength + SSTableFormat.BlockTrailerBytes;
            i++;
        }

        index._offsets[count] = at;
        index._keyStarts[count] = keyStart;
        if (count == 0)
            return index;
        int common = index.Separator(0).CommonPrefixLength(index.Separator(count - 1));
        for (i = 0; i < count; i++)
            index._prefixes[i] = PrefixNumber(index.Separator(i)[common..]);
        return new TableIndex(memory, count, index.Separator(0)[..common].ToArray());
    }

    private ReadOnlySpan<byte> SeparatorBefore(int block) =>
        new(_keys + _keyStarts[block - 1], _keyStarts[block] - _keyStarts[block - 1]);

    /// <summary>The first eight bytes as a number that orders like them; shorter keys are followed by zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong PrefixNumber(ReadOnlySpan<byte> key)
    {
        if (key.Length >= 8)
            return BinaryPrimitives.ReadUInt64BigEndian(key);
        ulong number = 0;
        for (int i = 0; i < key.Length; i++)
            number |= (ulong)key[i] << (56 - (8 * i));
        return number;
    }
}

/// <summary>Walks an index block: per data block the separator against the one before, and the payload's length.</summary>
internal ref struct IndexBlockReader
{
    private ReadOnlySpan<byte> _rest;

    public IndexBlockReader(ReadOnlySpan<byte> block) => _rest = block;

    public int Shared { get; private set; }

    public ReadOnlySpan<byte> Suffix { get; private set; }

    public int BlockLength { get; private set; }

    public bool Malformed { get; private set; }

    public readonly int KeyLength => Shared + Suffix.Length;

    public bool MoveNext()
    {
        if (_rest.IsEmpty || Malformed)
            return false;
        if (!TryReadLength(out int shared) || !TryReadLength(out int unshared) || !TryReadLength(out int blockLength)
            || unshared > _rest.Length || shared > 1 << 24)
        {
            Malformed = true;
            return false;
        }

        Shared = shared;
        BlockLength = blockLength;
        Suffix = _rest[..unshared];
        _rest = _rest[unshared..];
        return true;
    }

    private bool TryReadLength(out int length)
    {
        bool fine = Varint.TryRead(_rest, out ulong value, out int read) && value <= SSTableFormat.BlockPayloadBytesMax;
        _rest = _rest[read..];
        length = fine ? (int)value : 0;
        return fine;
    }
}

/// <summary>Collects separators and block lengths while a table is written.</summary>
internal sealed class IndexBlockBuilder
{
    private readonly BytesBuffer _bytes = new(4096);
    private readonly BytesBuffer _last = new(64);

    /// <summary>Begins the index of another table, with memory for one of ordinary size at hand.</summary>
    public void Reset()
    {
        _bytes.ClearAndTrim(1 << 20);
        _last.ClearAndTrim(4096);
    }

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    public void Add(ReadOnlySpan<byte> separator, int blockLength)
    {
        int shared = separator.CommonPrefixLength(_last.WrittenSpan);
        Span<byte> to = _bytes.GetSpan((3 * Varint.MaxLength32) + separator.Length);
        int at = Varint.Write(to, (uint)shared);
        at += Varint.Write(to[at..], (uint)(separator.Length - shared));
        at += Varint.Write(to[at..], (uint)blockLength);
        separator[shared..].CopyTo(to[at..]);
        _bytes.Advance(at + separator.Length - shared);
        _last.Clear();
        _last.Append(separator);
    }

    /// <summary>
    /// Length of the shortest prefix that separates: <paramref name="last"/> &lt;= separator &lt; <paramref name="next"/>.
    /// Written into <paramref name="scratch"/>.
    /// </summary>
    public static ReadOnlySpan<byte> Separate(ReadOnlySpan<byte> last, ReadOnlySpan<byte> next, BytesBuffer scratch)
    {
        int common = last.CommonPrefixLength(next);
        if (common == last.Length)
            return last;
        scratch.Clear();
        if (next.Length > common + 1)
        {
            scratch.Append(next[..(common + 1)]);
            return scratch.WrittenSpan;
        }

        if (last[common] + 1 < next[common])
        {
            scratch.Append(last[..(common + 1)]);
            scratch.WrittenSpan[common]++;
            return scratch.WrittenSpan;
        }

        return last;
    }
}
