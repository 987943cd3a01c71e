using System.Runtime.CompilerServices;

namespace Kvasir.Storage.HashLog.Index;

/// <summary>
/// Where a record lies, in one word: in memory (the highest bit and the address), or in a file (number of its place among the open
/// segments, offset and length in units of eight bytes). Means something in this process only; zero is nowhere.
/// </summary>
internal static unsafe class Location
{
    public const ulong None = 0;

    /// <summary>In an index: the key that was here is gone, and the search goes on behind it.</summary>
    public const ulong Removed = 1;

    public const int UnitBytes = 8;
    public const int SlotsMax = 1 << SlotBits;
    public const long SegmentBytesMax = UnitBytes * ((1L << OffsetBits) - 1);

    private const int LengthBits = 14;
    private const int OffsetBits = 29;
    private const int SlotBits = 20;
    private const ulong MemoryBit = 1UL << 63;
    private const ulong LengthMask = (1UL << LengthBits) - 1;
    private const ulong OffsetMask = (1UL << OffsetBits) - 1;

    public static ulong InMemory(void* record) => MemoryBit | (ulong)record;

    /// <summary>Slots begin at one.</summary>
    public static ulong OnDisk(int slot, uint offsetUnits, uint lengthUnits) =>
        ((ulong)slot << (OffsetBits + LengthBits)) | ((ulong)offsetUnits << LengthBits) | Math.Min(lengthUnits, LengthMask);

    /// <summary>As <see cref="OnDisk"/> said it for slot zero, in this slot.</summary>
    public static ulong In(int slot, ulong location) => ((ulong)slot << (OffsetBits + LengthBits)) | location;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsMemory(ulong location) => (long)location < 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* Address(ulong location) => (void*)(location & ~MemoryBit);

    public static int Slot(ulong location) => (int)(location >> (OffsetBits + LengthBits));

    public static long Offset(ulong location) => (long)((location >> LengthBits) & OffsetMask) * UnitBytes;

    /// <summary>Bytes of the record; what is longer than can be said here says this length, and its header says the rest.</summary>
    public static int Length(ulong location) => (int)(location & LengthMask) * UnitBytes;

    /// <summary>Whether the record may be longer than <see cref="Length"/>.</summary>
    public static bool IsLonger(ulong location) => (location & LengthMask) == LengthMask;
}
