using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Store;

/// <summary>
/// What goes on between a store's journal and its engine beside the writes: tells the engine what is stable, syncs what
/// no writer waits for, trims the journal after flushes, and has the engine flush when the journal grows.
/// </summary>
internal sealed class JournalKeeper : IJournalListener, IBackgroundJob
{
    /// <summary>
    /// The engine flushes nothing that is not synced, so even writes that nobody wants synced are, in steps like this.
    /// </summary>
    private const ulong UnsyncedBytesMax = 8 << 20;

    private readonly JournalWriter _journal;
    private readonly IStorageEngine _engine;
    private readonly IScheduler _scheduler;
    private readonly DurableStoreOptions _options;
    private readonly FlushedFile _flushed;
    private readonly ITimer _syncTimer;
    private readonly IWaitPoint _done;
    private readonly Lock _lock = new();

    // Under _lock.
    private bool _syncDue;
    private bool _isAskingForSync;
    private bool _trimScheduled;
    private bool _mayShorten;
    private bool _stopped;
    private LogPosition _trimBefore;
    private LogPosition _flushRequestedAt;
    private LogPosition _trimmedAtFlushed;

    private volatile bool _journalLost;

    public JournalKeeper(JournalWriter journal, IStorageEngine engine, IScheduler scheduler, DurableStoreOptions options, FlushedFile flushed)
    {
        _flushed = flushed;
        _journal = journal;
        _engine = engine;
        _scheduler = scheduler;
        _options = options;
        _done = scheduler.CreateWaitPoint();
        _syncTimer = scheduler.Time.CreateTimer(
            static keeper => ((JournalKeeper)keeper!).SyncNow(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        engine.MarkStable(journal.DurablePosition);
        journal.Listener = this;
        journal.BeforeLettingGo = () => TrySaveFlushed(LogPosition.Zero);

        // So that it is there when the disk is full.
        HasFlushedFile = TrySaveFlushed(LogPosition.Zero);
    }

    public string Name => "journal trim";

    /// <summary>The file that says how far the engine's files reach is there since the opening.</summary>
    public bool HasFlushedFile { get; }

    /// <summary>The journal's disk failed: what was not durable then may be gone after a restart.</summary>
    public bool JournalLost => _journalLost;

    public void Durable(LogPosition position) => _engine.MarkStable(position);

    public void Failed(JournalFailure failure, Exception cause, LogPosition durable)
    {
        if (failure == JournalFailure.DiskFailed)
            _journalLost = true;
    }

    /// <summary>Called by the leader after each group.</summary>
    public void AfterWrite(LogPosition last, bool syncWithinInterval)
    {
        if (syncWithinInterval)
            ArmSyncTimer();
        if (last.Value - _journal.DurablePosition.Value > UnsyncedBytesMax)
            _journal.RequestCommit(sync: true);

        LogPosition flushed = _engine.FlushedPosition;
        if (flushed != _trimmedAtFlushed)
        {
            _trimmedAtFlushed = flushed;
            ScheduleTrim(OldestNeeded(last));
        }

        if (_journal.RetainedBytes > _options.JournalBytesMax && flushed >= _flushRequestedAt)
        {
            // Once for what is stable now; again only when that is flushed.
            _flushRequestedAt = _journal.DurablePosition;
            _journal.RequestCommit(sync: true);
            _engine.Flush();
        }
    }

    /// <summary>
    /// After a flush that somebody asked for: returns when the journal is as short as it can be. What is appended meanwhile is
    /// kept.
    /// </summary>
    public void TrimAll()
    {
        lock (_lock)
            _mayShorten = true;
        ScheduleTrim(_engine.OldestUnflushedPosition ?? new LogPosition(_engine.FlushedPosition.Value + 1));
        WaitForTrim();
    }

    public void Run()
    {
        LogPosition before;
        bool mayShorten;
        lock (_lock)
        {
            before = _trimBefore;
            mayShorten = _mayShorten;
            _mayShorten = false;
        }

        _journal.TrimBefore(before);
        if (mayShorten)
            _journal.Shorten();
        lock (_lock)
        {
            _trimScheduled = false;
            if ((before < _trimBefore || _mayShorten) && !_stopped)
                ScheduleTrimLocked();
        }

        _done.Pulse();
    }

    public void Stop()
    {
        lock (_lock)
            _stopped = true;
        _syncTimer.Dispose();
        WaitForTrim();

        // What the timer has begun it ends while there are threads for it: the scheduler may go with the store.
        _done.WaitUntil(() =>
        {
            lock (_lock)
                return !_isAskingForSync;
        });
    }

    /// <summary>After the journal was closed: what it reached then it must reach for ever.</summary>
    public void SaveEnd()
    {
        if (_journal.Failure == JournalFailure.None)
            TrySaveFlushed(_journal.DurablePosition);
    }

    private bool TrySaveFlushed(LogPosition end)
    {
        try
        {
            _flushed.Save(_journal.JournalId, [_engine.FlushedPosition], end);
            return true;
        }
        catch (StorageException)
        {
            return false;
        }
    }

    private void WaitForTrim() => _done.WaitUntil(() =>
    {
        lock (_lock)
            return !_trimScheduled;
    });

    private LogPosition OldestNeeded(LogPosition last) => _engine.OldestUnflushedPosition ?? new LogPosition(last.Value + 1);

    private void ScheduleTrim(LogPosition before)
    {
        lock (_lock)
        {
            if (_stopped || (before <= _trimBefore && !_mayShorten))
                return;
            if (before > _trimBefore)
                _trimBefore = before;
            if (!_trimScheduled)
                ScheduleTrimLocked();
        }
    }

    private void ScheduleTrimLocked()
    {
        _trimScheduled = true;
        _scheduler.Schedule(this, JobPriority.Upkeep);
    }

    private void ArmSyncTimer()
    {
        lock (_lock)
        {
            if (_syncDue || _stopped)
                return;
            _syncDue = true;
        }

        _syncTimer.Change(_options.SyncInterval, Timeout.InfiniteTimeSpan);
    }

    private void SyncNow()
    {
        lock (_lock)
        {
            _syncDue = false;
            if (_stopped)
                return;
            _isAskingForSync = true;
        }

        _journal.RequestCommit(sync: true);
        lock (_lock)
            _isAskingForSync = false;
        _done.Pulse();
    }
}
