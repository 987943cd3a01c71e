using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// One key of a memtable, in the arena, followed by the key's bytes. Everything but <see cref="Newest"/> and
/// <see cref="NextInserted"/> is immutable; those two are written by the writer with release semantics.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct KeyNode
{
    public const int HeaderBytes = 24;

    /// <summary>The newest version; versions are a chain of descending sequence numbers. Null after a withdrawn first write.</summary>
    public ValueVersion* Newest;

    /// <summary>The key that was inserted after this one: the order of insertion, for whoever sorts later.</summary>
    public KeyNode* NextInserted;

    public int KeyLength;

    /// <summary>Low half of the key's hash, so that the index grows without reading keys.</summary>
    public uint HashLow;

    public static byte* KeyBytes(KeyNode* node) => (byte*)node + HeaderBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Key(KeyNode* node) => new((byte*)node + HeaderBytes, node->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ValueVersion* LoadNewest(KeyNode* node) => (ValueVersion*)Volatile.Read(ref *(nint*)&node->Newest);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreNewest(KeyNode* node, ValueVersion* version) =>
        Volatile.Write(ref *(nint*)&node->Newest, (nint)version);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static KeyNode* LoadNextInserted(KeyNode* node) => (KeyNode*)Volatile.Read(ref *(nint*)&node->NextInserted);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreNextInserted(KeyNode* node, KeyNode* next) =>
        Volatile.Write(ref *(nint*)&node->NextInserted, (nint)next);

    /// <summary>The newest version with a sequence number at most <paramref name="sequence"/>, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ValueVersion* Visible(KeyNode* node, ulong sequence)
    {
        ValueVersion* version = LoadNewest(node);
        while (version != null && version->Trailer >> 8 > sequence)
            version = version->Older;
        return version;
    }
}

/// <summary>One version of a key, immutable once linked, followed by its deadline (when expiring) and its value.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ValueVersion
{
    public const int HeaderBytes = 20;
    public const int DeadlineOffset = 24;
    public const int ExpiringHeaderBytes = 32;

    public ValueVersion* Older;

    /// <summary>See <see cref="Keys.Trailer"/>.</summary>
    public ulong Trailer;

    public int ValueLength;

    public static bool IsExpiring(ValueVersion* version) => (byte)version->Trailer == (byte)ValueKind.ExpiringValue;

    public static bool IsTombstone(ValueVersion* version) => (byte)version->Trailer == (byte)ValueKind.Tombstone;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long ExpiresAtMs(ValueVersion* version) => IsExpiring(version) ? *(long*)((byte*)version + DeadlineOffset) : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Value(ValueVersion* version) =>
        new((byte*)version + (IsExpiring(version) ? ExpiringHeaderBytes : HeaderBytes), version->ValueLength);

    /// <summary>Asks for the first lines of a version; null does nothing.</summary>
    public static void Prefetch(ValueVersion* version)
    {
        if (!Sse.IsSupported || version == null)
            return;
        Sse.Prefetch0(version);
        Sse.Prefetch0((byte*)version + 64);
    }
}
