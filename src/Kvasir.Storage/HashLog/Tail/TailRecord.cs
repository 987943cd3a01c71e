using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
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
/// A version of a key in memory; its key, its value and, if it expires, its deadline lie behind it: with a short key the first cache
/// line has all that a search compares. Written once, by the writer, but for the links: <see cref="Previous"/> changes under the lock of the key's shard, <see cref="Next"/> under that of the writer.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TailRecord
{
    /// <summary>Of the version before of the same key; nowhere when there is none.</summary>
    public ulong Previous;
    public ulong Sequence;

    /// <summary>In the files, once it is there.</summary>
    public ulong Home;

    /// <summary>
    /// The version after; nowhere while there is none, or its link is pending. It is in memory for as long as this one, because the oldest go first.
    /// </summary>
    public ulong Next;
    public int KeyLength;
    public int ValueLength;
    public uint Check;
    public RecordKind Kind;

    /// <summary>Nobody will see it: it was withdrawn before it was stable.</summary>
    public bool IsWithdrawn;

    /// <summary>A flush that may be under way writes it.</summary>
    public bool IsWritten;

    public static long SizeOf(RecordKind kind, int keyLength, int valueLength) =>
        ((sizeof(TailRecord) + (long)keyLength + valueLength + 7) & ~7L) + (kind == RecordKind.ExpiringValue ? sizeof(long) : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long SizeOf(TailRecord* record) => SizeOf(record->Kind, record->KeyLength, record->ValueLength);

    /// <summary>Unix milliseconds; 0 for never.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long ExpiresAtMs(TailRecord* record) => record->Kind == RecordKind.ExpiringValue ? *Deadline(record) : 0;

    /// <summary>Of a record that expires.</summary>
    public static long* Deadline(TailRecord* record) => (long*)((byte*)record + SizeOf(record)) - 1;

    /// <summary>Asks for the cache lines of a small one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(TailRecord* record)
    {
        Sse.Prefetch0(record);
        Sse.Prefetch0((byte*)record + 64);
        Sse.Prefetch0((byte*)record + 128);
    }

    public static ulong Token(TailRecord* record) => StableHash.Hash64(Key(record));

    /// <summary>Sequence number of the version after; zero while there is none.</summary>
    public static ulong SupersededBy(TailRecord* record)
    {
        ulong next = Volatile.Read(ref record->Next);
        return next == Location.None ? 0 : At(next)->Sequence;
    }

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
