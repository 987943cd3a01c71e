using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>Persisted in segments: numbers are never changed or reused.</summary>
internal enum RecordKind : byte
{
    Value = 1,
    ExpiringValue = 2,
    Tombstone = 3,
}

/// <summary>
/// A version of a key in memory; its key and value lie behind it. Written once, by the writer, but for the links. Those to what lies
/// below change under the lock of the key's shard.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TailRecord
{
    /// <summary>Of the version before of the same key; nowhere when there is none.</summary>
    public ulong Previous;
    public ulong Sequence;

    /// <summary>In the files, once it is there.</summary>
    public ulong Home;

    /// <summary>Sequence number of the version after; zero while there is none.</summary>
    public ulong SupersededBy;
    public ulong Token;
    public long ExpiresAtMs;
    public uint Check;
    public int KeyLength;
    public int ValueLength;
    public RecordKind Kind;

    /// <summary>Nobody will see it: it was withdrawn before it was stable.</summary>
    public bool IsWithdrawn;

    /// <summary>A flush that may be under way writes it.</summary>
    public bool IsWritten;

    public static long SizeOf(int keyLength, int valueLength) => (sizeof(TailRecord) + (long)keyLength + valueLength + 7) & ~7L;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Key(TailRecord* record) => new(record + 1, record->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Value(TailRecord* record) => new((byte*)(record + 1) + record->KeyLength, record->ValueLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TailRecord* At(ulong location) => (TailRecord*)Location.Address(location);

    /// <summary>Whether a version below this one lies in the files, or will when the files are read again.</summary>
    public static bool HasDiskBelow(TailRecord* record)
    {
        ulong below = Volatile.Read(ref record->Previous);
        while (Location.IsMemory(below))
        {
            if (At(below)->Home != Location.None || At(below)->IsWritten)
                return true;
            below = Volatile.Read(ref At(below)->Previous);
        }

        return below != Location.None;
    }

    /// <summary>The newest version below this one that lies in the files; nowhere when there is none.</summary>
    public static ulong DiskBelow(TailRecord* record)
    {
        ulong below = Volatile.Read(ref record->Previous);
        while (Location.IsMemory(below))
        {
            if (At(below)->Home != Location.None)
                return At(below)->Home;
            below = Volatile.Read(ref At(below)->Previous);
        }

        return below;
    }
}
