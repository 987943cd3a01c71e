using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.BTree;

public sealed partial class BTreeStore
{
    // A sweep is a commit: what expires within such a time goes by one.
    private const long SweepPauseMs = 1000;

    // The clock may be set anew, so that no timer is right for long.
    private const long SweepTimerMsMax = 60_000;

    private ITimer? _sweepTimer;
    private long _sweepAtMs = DeadlineIndex.NeverMs;
    private long _sweptAtMs;

    /// <summary>
    /// Deletes what has expired by now, so many keys in a commit; others write in between. What is done when it is cancelled stays done.
    /// </summary>
    public void DeleteExpired(int keys = 1024, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(keys);
        for (bool isMore = true; isMore;)
        {
            cancellation.ThrowIfCancellationRequested();
            using WriteTransaction transaction = BeginWrite();
            transaction.IsUpkeep = true;
            isMore = transaction.Deadlines.Sweep(keys);
            transaction.Commit();
        }
    }

    private bool IsSweepDue => Volatile.Read(ref _sweepAtMs) is var at && at != DeadlineIndex.NeverMs && at <= NowMs;

    /// <summary>What an earlier process has left may have expired since.</summary>
    private void BeginSweeping()
    {
        if (_current.Meta.Deadlines.IsEmpty || !Options.BackgroundUpkeep)
            return;
        Volatile.Write(ref _sweepAtMs, NowMs);
        ScheduleUpkeep();
    }

    /// <summary>After a commit that leaves a least deadline. For the writer.</summary>
    private void PlanSweep(long firstMs, bool hasSwept)
    {
        if (firstMs == DeadlineIndex.NeverMs || !Options.BackgroundUpkeep)
        {
            Volatile.Write(ref _sweepAtMs, DeadlineIndex.NeverMs);
            return;
        }

        // One that has left some goes on at once. Should the clock be set back, the pause does not grow by that.
        long nowMs = NowMs;
        bool goesOn = hasSwept && firstMs <= nowMs;
        if (hasSwept || _sweptAtMs > nowMs)
            _sweptAtMs = nowMs;
        Volatile.Write(ref _sweepAtMs, goesOn ? nowMs : Math.Max(firstMs, _sweptAtMs + SweepPauseMs));
        ArmSweep();
    }

    private void ArmSweep()
    {
        long at = Volatile.Read(ref _sweepAtMs);
        if (at == DeadlineIndex.NeverMs)
            return;
        var due = TimeSpan.FromMilliseconds(Math.Clamp(at - NowMs, 1, SweepTimerMsMax));
        lock (_closing)
        {
            if (_isClosed)
                return;
            _sweepTimer ??= _scheduler.Time.CreateTimer(static store => ((BTreeStore)store!).OnSweepTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _sweepTimer.Change(due, Timeout.InfiniteTimeSpan);
        }
    }

    private void OnSweepTimer()
    {
        if (IsSweepDue)
            ScheduleUpkeep();
        else
            ArmSweep();
    }
}
