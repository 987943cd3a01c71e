using System.Runtime.CompilerServices;

namespace Kvasir.Storage.HashLog.Readers;

/// <summary>
/// Frees what readers without locks may still look at once none of them can (McKenney's sleepable RCU, with the counts in stripes
/// so that readers do not share a cache line). A reader counts itself under the parity of the epoch that it finds; the epoch moves
/// on when nobody is left under the other parity, so what was unlinked in one epoch has no reader two epochs later.
/// <para>
/// Whoever retires something has unlinked it before, so that no reader who enters from then on can find it.
/// </para>
/// </summary>
internal sealed class ReclamationEpoch
{
    private const int StripeCount = 16;
    private const int StripeWords = 16;

    // Two epochs later, and one for the epoch that moves on while it is looked at.
    private const long EpochsUntilFree = 2;

    private readonly long[] _counts = new long[2 * StripeCount * StripeWords];
    private readonly Queue<(long Epoch, Action Free)> _memory = new();
    private readonly Queue<(long Epoch, Action Free)> _files = new();
    private readonly Lock _lock = new();
    private long _epoch;
    private long? _drainFrom;

    /// <summary>From now on nothing that can be found is freed until <see cref="Leave"/> gets what this returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Enter()
    {
        int at = (((int)Volatile.Read(ref _epoch) & 1) * StripeCount * StripeWords)
            + ((Environment.CurrentManagedThreadId & (StripeCount - 1)) * StripeWords);

        // A full fence: what is read after it is read after the count is seen.
        Interlocked.Increment(ref _counts[at]);
        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Leave(int ticket) => Interlocked.Decrement(ref _counts[ticket]);

    /// <summary>Calls <paramref name="free"/>, which takes no time, when nobody can look at what it frees any more. Any thread.</summary>
    public void Retire(Action free)
    {
        lock (_lock)
            _memory.Enqueue((_epoch, free));
        Advance();
    }

    /// <summary>As <see cref="Retire"/>, for what works on the disk: it waits for an <see cref="Advance"/> that may.</summary>
    public void RetireFile(Action free)
    {
        lock (_lock)
            _files.Enqueue((_epoch, free));
    }

    /// <summary>Moves on as far as readers allow, and frees. Any thread; with files in the background only.</summary>
    public void Advance(bool withFiles = false)
    {
        while (TryTake(_memory, out Action? free) || (withFiles && TryTake(_files, out free)))
            free();
    }

    private bool TryTake(Queue<(long Epoch, Action Free)> retired, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Action? free)
    {
        free = null;
        lock (_lock)
        {
            if (retired.Count == 0)
                return false;
            long until = retired.Peek().Epoch + EpochsUntilFree;
            while (_epoch < until && TryMoveOn())
            {
            }

            if (_epoch < until)
                return false;
            free = retired.Dequeue().Free;
            return true;
        }
    }

    /// <summary>Frees everything that was retired, and says whether all readers have left that were there before.</summary>
    public bool TryDrain()
    {
        Advance(withFiles: true);
        lock (_lock)
        {
            if (_memory.Count + _files.Count != 0)
                return false;
            _drainFrom ??= _epoch;
            while (_epoch < _drainFrom + EpochsUntilFree && TryMoveOn())
            {
            }

            return _epoch >= _drainFrom + EpochsUntilFree;
        }
    }

    private bool TryMoveOn()
    {
        int other = (((int)_epoch & 1) ^ 1) * StripeCount * StripeWords;
        Interlocked.MemoryBarrier();
        for (int stripe = 0; stripe < StripeCount * StripeWords; stripe += StripeWords)
        {
            if (Volatile.Read(ref _counts[other + stripe]) != 0)
                return false;
        }

        Volatile.Write(ref _epoch, _epoch + 1);
        return true;
    }
}
