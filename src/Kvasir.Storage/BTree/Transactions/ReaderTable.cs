using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>Why a transaction may not be used any more.</summary>
internal static class TransactionEnd
{
    public const int None = 0;
    public const int TooOld = 1;
    public const int StoreClosed = 2;
    public const int Disposed = 3;
}

/// <summary>
/// A place in the table of readers, on cache lines of its own. Its transaction sets <see cref="Busy"/> around each use of
/// pages; whoever ends it from outside sets <see cref="Ended"/>, then has every processor catch up, then looks at Busy: a use
/// that began before is seen, and one that begins later sees Ended. So uses cost two plain stores.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 192)]
internal sealed class ReaderSlot
{
    public const long Vacant = 0;

    /// <summary>The transaction that is read, plus one; <see cref="Vacant"/> when the place is.</summary>
    [FieldOffset(64)] public long Reading;

    /// <summary><see cref="ReaderTable.NotBegun"/> while nobody has the place, and until it is known of who has.</summary>
    [FieldOffset(72)] public long StartedAt = ReaderTable.NotBegun;

    [FieldOffset(80)] public long PageCount;

    [FieldOffset(88)] public int Busy;

    /// <summary>Why; written before <see cref="Ended"/>.</summary>
    [FieldOffset(92)] public int Reason;

    /// <summary>Counts the readers that have had the place.</summary>
    [FieldOffset(96)] public long Generation;

    /// <summary>The last one of them that was ended from outside.</summary>
    [FieldOffset(104)] public long Ended;

    /// <summary>The last one of them that somebody was told is old.</summary>
    [FieldOffset(112)] public long Told;
}

/// <summary>
/// Who reads what: a reader takes a place without a lock, and the writer looks for the oldest. A reader that has taken its
/// place looks whether the state it read is still the newest, and else takes the newer one: so the writer, which looks after it
/// has published a state, sees every reader of an older one.
/// </summary>
internal sealed class ReaderTable
{
    /// <summary>Later than anything: a reader that takes a place has not begun when the one before it has.</summary>
    public const long NotBegun = long.MaxValue;

    private readonly Lock _growth = new();
    private ReaderSlot[] _slots = NewSlots([], 16);

    /// <summary>A place that reads the state which <paramref name="current"/> holds.</summary>
    public ReaderSlot Enter(ref CommittedState current, long now, out CommittedState state)
    {
        ReaderSlot slot = Claim();
        slot.Busy = 0;
        slot.Generation++;
        slot.StartedAt = now;
        while (true)
        {
            state = Volatile.Read(ref current);
            slot.PageCount = state.Meta.PageCount;
            Interlocked.Exchange(ref slot.Reading, (long)state.Transaction + 1);
            if (ReferenceEquals(Volatile.Read(ref current), state))
                return slot;
        }
    }

    /// <summary>A place that reads a state which somebody else's place holds until this returns.</summary>
    public ReaderSlot EnterAt(CommittedState state, long now)
    {
        ReaderSlot slot = Claim();
        slot.Busy = 0;
        slot.Generation++;
        slot.StartedAt = now;
        slot.PageCount = state.Meta.PageCount;
        Interlocked.Exchange(ref slot.Reading, (long)state.Transaction + 1);
        return slot;
    }

    public static void Leave(ReaderSlot slot)
    {
        Volatile.Write(ref slot.StartedAt, NotBegun);
        Volatile.Write(ref slot.Reading, ReaderSlot.Vacant);
    }

    /// <summary>The oldest transaction that somebody reads; <paramref name="newest"/> when nobody reads an older one.</summary>
    public ulong Oldest(ulong newest)
    {
        Interlocked.MemoryBarrier();
        ulong oldest = newest;
        foreach (ReaderSlot slot in Volatile.Read(ref _slots))
        {
            long reading = Volatile.Read(ref slot.Reading);
            if (reading != ReaderSlot.Vacant && !HasLetGo(slot))
                oldest = Math.Min(oldest, (ulong)(reading - 1));
        }

        return oldest;
    }

    /// <summary>Whether somebody who has not left saw more pages than these, ended or not: the file must not be cut under a span.</summary>
    public bool AnySees(long pages)
    {
        Interlocked.MemoryBarrier();
        foreach (ReaderSlot slot in Volatile.Read(ref _slots))
        {
            if (Volatile.Read(ref slot.Reading) != ReaderSlot.Vacant && slot.PageCount > pages)
                return true;
        }

        return false;
    }

    /// <summary>Places that are taken now.</summary>
    public int Count
    {
        get
        {
            int count = 0;
            foreach (ReaderSlot slot in Volatile.Read(ref _slots))
                count += Volatile.Read(ref slot.Reading) == ReaderSlot.Vacant ? 0 : 1;
            return count;
        }
    }

    public bool IsEmpty
    {
        get
        {
            Interlocked.MemoryBarrier();
            foreach (ReaderSlot slot in Volatile.Read(ref _slots))
            {
                if (Volatile.Read(ref slot.Reading) != ReaderSlot.Vacant)
                    return false;
            }

            return true;
        }
    }

    /// <summary>Ends those that began before a moment, for a reason.</summary>
    public void EndBefore(long startedBefore, int reason)
    {
        bool any = false;
        foreach (ReaderSlot slot in Volatile.Read(ref _slots))
        {
            if (Volatile.Read(ref slot.Reading) == ReaderSlot.Vacant || HasEnded(slot))
                continue;

            // Should the place change hands meanwhile, it is a reader that has left which is ended.
            long generation = Volatile.Read(ref slot.Generation);
            if (Volatile.Read(ref slot.StartedAt) >= startedBefore)
                continue;
            slot.Reason = reason;
            Volatile.Write(ref slot.Ended, generation);
            any = true;
        }

        if (any)
            Interlocked.MemoryBarrierProcessWide();
    }

    /// <summary>Those that began before a moment and that nobody was told of; by the one writer.</summary>
    public IReadOnlyList<(ulong Transaction, long StartedAt)> TakeUntoldBefore(long startedBefore)
    {
        List<(ulong, long)>? readers = null;
        foreach (ReaderSlot slot in Volatile.Read(ref _slots))
        {
            long reading = Volatile.Read(ref slot.Reading);
            long generation = Volatile.Read(ref slot.Generation);
            long startedAt = Volatile.Read(ref slot.StartedAt);
            if (reading == ReaderSlot.Vacant || slot.Told == generation || startedAt >= startedBefore || HasEnded(slot))
                continue;
            slot.Told = generation;
            (readers ??= []).Add(((ulong)(reading - 1), startedAt));
        }

        return readers ?? [];
    }

    public IReadOnlyList<(ulong Transaction, long StartedAt, bool Ended)> List()
    {
        List<(ulong, long, bool)> readers = [];
        foreach (ReaderSlot slot in Volatile.Read(ref _slots))
        {
            long reading = Volatile.Read(ref slot.Reading);
            long startedAt = Volatile.Read(ref slot.StartedAt);
            if (reading != ReaderSlot.Vacant && startedAt != NotBegun)
                readers.Add(((ulong)(reading - 1), startedAt, HasEnded(slot)));
        }

        return readers;
    }

    private static bool HasEnded(ReaderSlot slot) => Volatile.Read(ref slot.Ended) == Volatile.Read(ref slot.Generation);

    private static bool HasLetGo(ReaderSlot slot) => HasEnded(slot) && Volatile.Read(ref slot.Busy) == 0;

    private ReaderSlot Claim()
    {
        while (true)
        {
            ReaderSlot[] slots = Volatile.Read(ref _slots);
            int start = Environment.CurrentManagedThreadId;
            for (int i = 0; i < slots.Length; i++)
            {
                ReaderSlot slot = slots[(start + i) & (slots.Length - 1)];

                // Until it is known what is read, the place holds back everything.
                if (Volatile.Read(ref slot.Reading) == ReaderSlot.Vacant
                    && Interlocked.CompareExchange(ref slot.Reading, 1, ReaderSlot.Vacant) == ReaderSlot.Vacant)
                    return slot;
            }

            lock (_growth)
            {
                if (ReferenceEquals(slots, _slots))
                    Volatile.Write(ref _slots, NewSlots(slots, slots.Length * 2));
            }
        }
    }

    private static ReaderSlot[] NewSlots(ReaderSlot[] old, int count)
    {
        var slots = new ReaderSlot[count];
        old.CopyTo(slots, 0);
        for (int i = old.Length; i < count; i++)
            slots[i] = new ReaderSlot();
        return slots;
    }
}
