using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>One entry of a data block, as offsets into it.</summary>
internal struct DataBlockEntry
{
    public int Shared;
    public int SuffixOffset;
    public int Unshared;
    public int ValueOffset;
    public int ValueLength;
    public int End;
    public Trailer Trailer;
    public long ExpiresAtMs;
}

/// <summary>
/// Moves over the entries of one data block, both ways. Never reads outside the block, whatever it holds: a length that
/// does not fit sets <see cref="Malformed"/> and ends the walk. The memory belongs to somebody else and outlives this.
/// </summary>
internal unsafe struct DataBlockCursor
{
    private byte* _data;
    private int _entriesEnd;
    private int _restartCount;
    private byte[] _key;
    private int _keyLength;
    private int _current;
    private int _restartIndex;
    private DataBlockEntry _entry;

    public DataBlockCursor() => _key = new byte[64];

    public bool Valid { readonly get; private set; }

    public bool Malformed { readonly get; private set; }

    public readonly ReadOnlySpan<byte> UserKey => _key.AsSpan(0, _keyLength);

    public readonly Trailer Trailer => _entry.Trailer;

    public readonly long ExpiresAtMs => _entry.ExpiresAtMs;

    public readonly ReadOnlySpan<byte> Value => new(_data + _entry.ValueOffset, _entry.ValueLength);

    /// <summary>Stands on <paramref name="length"/> bytes at <paramref name="data"/>, on no entry.</summary>
    public void Reset(byte* data, int length)
    {
        _data = data;
        Valid = false;
        Malformed = !TryReadRestarts(data, length, out _entriesEnd, out _restartCount);
    }

    public void Clear()
    {
        _data = null;
        Valid = false;
        Malformed = false;
        _entriesEnd = 0;
        _restartCount = 0;
    }

    public void SeekToFirst()
    {
        Valid = false;
        if (!Malformed)
            MoveToRestart(0);
    }

    public void SeekToLast()
    {
        Valid = false;
        if (Malformed)
            return;
        MoveToRestart(_restartCount - 1);
        while (Valid && _entry.End < _entriesEnd)
            ReadEntry(_entry.End);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Next()
    {
        if (_entry.End >= _entriesEnd)
        {
            Valid = false;
            return;
        }

        ReadEntry(_entry.End);
    }

    /// <summary>To the entry before, found again from the restart point before it.</summary>
    public void Previous()
    {
        int end = _current;
        // The restart index is a hint: after forward moves it may lag behind, never run ahead.
        while (_restartIndex + 1 < _restartCount && RestartOffset(_restartIndex + 1) < end)
            _restartIndex++;
        while (_restartIndex > 0 && RestartOffset(_restartIndex) >= end)
            _restartIndex--;
        if (RestartOffset(_restartIndex) >= end)
        {
            Valid = false;
            return;
        }

        MoveToRestart(_restartIndex);
        while (Valid && _entry.End < end)
            ReadEntry(_entry.End);
    }

    /// <summary>To the first entry at or after (key, trailer); invalid when all are before.</summary>
    public void Seek(ReadOnlySpan<byte> key, Trailer trailer)
    {
        Valid = false;
        if (Malformed)
            return;
        int restart = FindRestart(_data, _entriesEnd, _restartCount, key, trailer);
        if (restart < 0)
        {
            Malformed = true;
            return;
        }

        MoveToRestart(restart);
        while (Valid && Compare(UserKey, _entry.Trailer, key, trailer) < 0)
            Next();
    }

    /// <summary>The first version of <paramref name="key"/> at or after <paramref name="trailer"/>.</summary>
    /// <returns>
    /// <see cref="FindOutcome.Absent"/> when an entry with a greater key ends the search,
    /// <see cref="FindOutcome.PastEnd"/> when the block does.
    /// </returns>
    public static FindOutcome Find(byte* data, int length, ReadOnlySpan<byte> key, Trailer trailer, out DataBlockEntry entry)
    {
        Unsafe.SkipInit(out entry);
        if (!TryReadRestarts(data, length, out int entriesEnd, out int restartCount))
            return FindOutcome.Malformed;
        int restart = FindRestart(data, entriesEnd, restartCount, key, trailer);
        if (restart < 0)
            return FindOutcome.Malformed;
        int at = Restart(data, entriesEnd, restart);

        // How many bytes of the key the entry before, which is smaller, has in common with it. Says, without putting
        // together any entry's key, on which side of the key the next entry lies.
        int matched = 0;
        int nextRestart = restart + 1 < restartCount ? Restart(data, entriesEnd, restart + 1) : entriesEnd;
        while (at < entriesEnd)
        {
            // A restart point says nothing about what it has in common with the entry before.
            if (at == nextRestart)
                matched = 0;
            if (!TryReadEntry(data, at, entriesEnd, out entry))
                return FindOutcome.Malformed;
            if (entry.Shared < matched)
                return FindOutcome.Absent;
            if (entry.Shared == matched)
            {
                var suffix = new ReadOnlySpan<byte>(data + entry.SuffixOffset, entry.Unshared);
                ReadOnlySpan<byte> rest = key[matched..];
                int common = suffix.CommonPrefixLength(rest);
                matched += common;
                if (common == rest.Length)
                {
                    if (common < suffix.Length)
                        return FindOutcome.Absent;
                    if (entry.Trailer.Packed <= trailer.Packed)
                        return FindOutcome.Found;
                }
                else if (common < suffix.Length && suffix[common] > rest[common])
                {
                    return FindOutcome.Absent;
                }
            }

            at = entry.End;
        }

        return FindOutcome.PastEnd;
    }

    public static int Compare(ReadOnlySpan<byte> aKey, Trailer a, ReadOnlySpan<byte> bKey, Trailer b)
    {
        int order = aKey.SequenceCompareTo(bKey);
        return order != 0 ? order : b.Packed.CompareTo(a.Packed);
    }

    private static bool TryReadRestarts(byte* data, int length, out int entriesEnd, out int restartCount)
    {
        entriesEnd = 0;
        restartCount = 0;
        if (length < 8)
            return false;
        restartCount = ReadInt32(data + length - 4);
        if (restartCount <= 0 || restartCount > (length / 4) - 1)
            return false;
        entriesEnd = length - 4 - (restartCount * 4);
        return Restart(data, entriesEnd, 0) == 0;
    }

    /// <summary>The last restart point before (key, trailer), or the first; negative when the block makes no sense.</summary>
    private static int FindRestart(byte* data, int entriesEnd, int restartCount, ReadOnlySpan<byte> key, Trailer trailer)
    {
        int low = 0;
        int high = restartCount - 1;
        while (low < high)
        {
            int middle = (low + high + 1) >>> 1;
            if (!TryReadEntry(data, Restart(data, entriesEnd, middle), entriesEnd, out DataBlockEntry entry) || entry.Shared != 0)
                return -1;
            int order = new ReadOnlySpan<byte>(data + entry.SuffixOffset, entry.Unshared).SequenceCompareTo(key);
            if (order < 0 || (order == 0 && entry.Trailer.Packed > trailer.Packed))
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryReadEntry(byte* data, int at, int end, out DataBlockEntry entry)
    {
        Unsafe.SkipInit(out entry);
        if ((uint)at >= (uint)end || end - at < 11)
            return false;
        uint shared = data[at];
        uint unshared = data[at + 1];
        uint valueLength = data[at + 2];
        if ((shared | unshared | valueLength) < 0x80)
            at += 3;
        else if (!TryReadLengths(data, ref at, end, out shared, out unshared, out valueLength))
            return false;
        long rest = (long)end - at - unshared - 8 - valueLength;
        if (rest < 0)
            return false;
        entry.Shared = (int)shared;
        entry.SuffixOffset = at;
        entry.Unshared = (int)unshared;
        at += (int)unshared;
        ulong packed = Unsafe.ReadUnaligned<ulong>(data + at);
        entry.Trailer = new Trailer(BitConverter.IsLittleEndian ? packed : BinaryPrimitives.ReverseEndianness(packed));
        at += 8;
        entry.ExpiresAtMs = 0;
        if ((byte)packed >= (byte)ValueKind.ExpiringValue)
        {
            if ((byte)packed > (byte)ValueKind.ExpiringValue || rest < 8)
                return false;
            long deadline = Unsafe.ReadUnaligned<long>(data + at);
            entry.ExpiresAtMs = BitConverter.IsLittleEndian ? deadline : BinaryPrimitives.ReverseEndianness(deadline);
            at += 8;
        }

        entry.ValueOffset = at;
        entry.ValueLength = (int)valueLength;
        entry.End = at + (int)valueLength;
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryReadLengths(byte* data, ref int at, int end, out uint shared, out uint unshared, out uint valueLength)
    {
        unshared = 0;
        valueLength = 0;
        return TryReadLength(data, ref at, end, out shared)
            && TryReadLength(data, ref at, end, out unshared)
            && TryReadLength(data, ref at, end, out valueLength);
    }

    private static bool TryReadLength(byte* data, ref int at, int end, out uint value)
    {
        bool fine = Varint.TryRead(new ReadOnlySpan<byte>(data + at, end - at), out ulong wide, out int read) && wide <= int.MaxValue;
        at += read;
        value = fine ? (uint)wide : 0;
        return fine;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ReadInt32(byte* at)
    {
        int value = Unsafe.ReadUnaligned<int>(at);
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    private static int Restart(byte* data, int entriesEnd, int index) => ReadInt32(data + entriesEnd + (index * 4));

    private readonly int RestartOffset(int index) => Restart(_data, _entriesEnd, index);

    private void MoveToRestart(int index)
    {
        _restartIndex = index;
        _keyLength = 0;
        ReadEntry(RestartOffset(index));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ReadEntry(int at)
    {
        if (!TryReadEntry(_data, at, _entriesEnd, out _entry) || _entry.Shared > _keyLength)
        {
            Malformed = true;
            Valid = false;
            return;
        }

        int length = _entry.Shared + _entry.Unshared;
        if (length > _key.Length)
            Array.Resize(ref _key, Math.Max(length, _key.Length * 2));
        new ReadOnlySpan<byte>(_data + _entry.SuffixOffset, _entry.Unshared).CopyTo(_key.AsSpan(_entry.Shared));
        _keyLength = length;
        _current = at;
        Valid = true;
    }
}

internal enum FindOutcome
{
    Found,
    Absent,
    PastEnd,
    Malformed,
}
