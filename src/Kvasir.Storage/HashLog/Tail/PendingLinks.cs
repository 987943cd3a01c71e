using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>
/// The last links from a version to the one after it, which are made a little later than the rest of a write: the older version has
/// mostly left the caches, and whoever writes one key after the other would wait for each. Asked for now, it is there by the time of a
/// few more writes. By the writer, or with its lock; what is to be let go, or asked which version is the last, is settled before.
/// </summary>
internal sealed unsafe class PendingLinks
{
    private const int Capacity = 8;

    private Pairs _pairs;
    private uint _next;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(TailRecord* older, TailRecord* newer)
    {
        ref Pair pair = ref _pairs[(int)(_next++ % Capacity)];
        if (pair.Newer != 0)
            Link((TailRecord*)pair.Older, (TailRecord*)pair.Newer);
        pair.Older = (nint)older;
        pair.Newer = (nint)newer;
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0(older);
        Sse.Prefetch0((byte*)older + sizeof(TailRecord));
    }

    /// <summary>Makes all of them, in the order in which they came.</summary>
    public void Settle()
    {
        for (int i = 0; i < Capacity; i++)
        {
            ref Pair pair = ref _pairs[(int)(_next++ % Capacity)];
            if (pair.Newer != 0)
                Link((TailRecord*)pair.Older, (TailRecord*)pair.Newer);
            pair = default;
        }
    }

    private static void Link(TailRecord* older, TailRecord* newer)
    {
        Check.That(TailRecord.Key(older).SequenceEqual(TailRecord.Key(newer)), "two keys have all hashes in common");
        Volatile.Write(ref older->Next, Location.InMemory(newer));
    }

    private struct Pair
    {
        public nint Older;
        public nint Newer;
    }

    [InlineArray(Capacity)]
    private struct Pairs
    {
        private Pair _first;
    }
}
