using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Conversions;

/// <summary>
/// Moves a replica from one engine to another while it goes on being written: a snapshot of the source is copied into the target,
/// what was written since follows from the log, both are compared at one position, and in one turn of the mailbox the target takes
/// the source's place.
/// <para>
/// What was written since comes from the log and not from a queue in memory: the log has it in any case, durable and in order, it
/// bounds nothing but the disk, and a target that is slower than its writers costs them neither memory nor time. Positions are the
/// log's own, so that a restart behind the switch replays into the target as into any engine.
/// </para>
/// <para>
/// It is a job that does a slice of the work each time, or, where it needs the replica to itself, an item in the mailbox: never both at
/// once. A failure at any point before the switch leaves the source as it was, untouched.
/// </para>
/// </summary>
internal sealed partial class EngineConversion : IBackgroundJob, IMailboxItem
{
    private const int SliceBytes = 256 << 10;

    // Of the log, in one turn of the mailbox: more each time that writers were faster.
    private const long TurnBytesMin = 1 << 20;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);

    // Those who read the source's statistics without the mailbox have had it in hand for less than that.
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(1);

    private readonly IConversionSite _site;
    private readonly IScheduler _scheduler;
    private readonly long _bytesPerSecond;
    private readonly ulong _seed;
    private readonly ITimer _timer;
    private readonly IWaitPoint _rests;
    private readonly Lock _lock = new();
    private readonly WriteBatch _batch = new(SliceBytes);
    private readonly long _beganAt;

    // Under _lock.
    private StepOwner _turn = StepOwner.Job;
    private volatile bool _abortWanted;

    // Of whoever has the turn.
    private TimeSpan? _measuredFrom;
    private ConversionStage _stage;
    private ConversionStage _failsAs;
    private string? _reason;
    private EngineConversion? _previous;
    private bool _mayHaveMadeTarget;
    private bool _isWithdrawn;
    private IStorageEngine? _target;
    private IStorageEngine? _before;
    private IWriteFeed? _feed;
    private EngineScan? _sourceRows;
    private EngineScan? _targetRows;
    private RowChecksum _ofSource;
    private RowChecksum _ofTarget;
    private LogPosition _sealedAt;
    private StateDigest _sourceDigest;
    private bool _isHopeless;
    private (LogPosition OfSource, LogPosition OfTarget)? _flushAsked;
    private ulong _loaded;
    private long _turnBytesMax = TurnBytesMin;
    private long _liveAfterMs;
    private long _pacedBytes;
    private long _pacedSince;
    private TimeSpan _pause;
    private bool _hasWaited;

    // Where the log is needed from, once something was copied; and whether that is over. Read by others.
    private ulong _keptFrom;
    private volatile bool _isForgotten;
    private volatile ConversionStatus _status;

    /// <param name="site">What is converted.</param>
    /// <param name="begun">Whose, from what, to what.</param>
    /// <param name="bytesPerSecond">Read from the source, at most.</param>
    /// <param name="seed">Of the checksum.</param>
    /// <param name="previous">Whose end this one waits for; null where there was none.</param>
    public EngineConversion(IConversionSite site, ConversionStatus begun, long bytesPerSecond, ulong seed, EngineConversion? previous)
    {
        _previous = previous is { IsRetiring: true } ? previous : null;
        (_site, _scheduler, _status, _bytesPerSecond, _seed) = (site, site.Scheduler, begun, bytesPerSecond, seed);
        _rests = _scheduler.CreateWaitPoint();
        _beganAt = _pacedSince = _scheduler.Time.GetTimestamp();
        _timer = _scheduler.Time.CreateTimer(
            static conversion => ((EngineConversion)conversion!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Whose turn it is: a job's or the mailbox's, scheduled or running; nobody's while the clock runs, or for good.</summary>
    private enum StepOwner
    {
        Job,
        JobRuns,
        Mailbox,
        MailboxRuns,
        Timer,
        Nobody,
    }

    /// <summary>What comes after a slice.</summary>
    private enum NextStep
    {
        Slice,
        Pause,
        Mailbox,
        End,
    }

    public string Name => "engine conversion";

    /// <summary>Any thread.</summary>
    public ConversionStatus Status => _status;

    /// <summary>An engine that was left, by this or by one before it, is still there. Any thread.</summary>
    public bool IsRetiring => Volatile.Read(ref _before) is not null || Volatile.Read(ref _previous) is { IsRetiring: true };

    /// <summary>The engine that is being filled, for those who bound memory; null before and after. Any thread.</summary>
    public IStorageEngine? Target => _isForgotten ? null : Volatile.Read(ref _target);

    /// <summary>The log is needed from here on; null where it is not. Any thread.</summary>
    public LogPosition? NeededFrom
    {
        get
        {
            ulong from = Volatile.Read(ref _keptFrom);
            if (_isForgotten || from == 0)
                return null;
            try
            {
                // What was copied is in no log.
                ulong unflushed = Math.Max(Target?.OldestUnflushedPosition?.Value ?? from, _sealedAt.Value);
                return new LogPosition(Math.Min(unflushed, from));
            }
            catch (ObjectDisposedException)
            {
                // It is just being withdrawn.
                return new LogPosition(from);
            }
        }
    }

    public void Start()
    {
        _measuredFrom = _site.Meter.Begin();
        _scheduler.Schedule(this, JobPriority.Compaction);
    }

    /// <summary>False when it is too late. Any thread; it ends soon, and <see cref="Status"/> says so.</summary>
    public bool TryAbort()
    {
        if (_status.IsEnded || _status.Stage is ConversionStage.Switching)
            return _status.Stage == ConversionStage.Aborted;
        _abortWanted = true;
        Wake();
        return true;
    }

    /// <summary>
    /// The node closes its files: returns when nothing of the conversion runs, and nothing ever will. What it made goes at the next
    /// start. Inside the mailbox, or when nobody posts to it any more.
    /// </summary>
    public void Stop()
    {
        _previous?.Stop();
        bool isOver = false;
        _rests.WaitUntil(() =>
        {
            lock (_lock)
            {
                if (_turn is StepOwner.JobRuns or StepOwner.MailboxRuns)
                    return false;
                isOver = _turn == StepOwner.Nobody;
                _turn = StepOwner.Nobody;
                return true;
            }
        });
        _timer.Dispose();
        if (isOver)
            return;
        CloseScans();
        _feed?.Dispose();
        if (_before is null)
            _target?.Dispose();
        _before?.Dispose();
        if (!_status.IsEnded)
            Tell(ConversionStage.Aborted, "the node closed its files");
    }

    void IBackgroundJob.Run()
    {
        lock (_lock)
        {
            if (_turn != StepOwner.Job)
                return;
            _turn = StepOwner.JobRuns;
        }

        NextStep next;
        try
        {
            next = _abortWanted && MayAbort ? Fail(ConversionStage.Aborted, "aborted") : Slice();
        }
        catch (StorageException e)
        {
            _isHopeless |= e is UnfitException && _site.IsCurrent;
            next = Fail(ConversionStage.Failed, e.Message);
        }

        GoOn(next);
    }

    void IMailboxItem.Run(Execution execution)
    {
        lock (_lock)
        {
            if (_turn != StepOwner.Mailbox)
                return;
            _turn = StepOwner.MailboxRuns;
        }

        NextStep next;
        try
        {
            next = InMailbox();
        }
        catch (StorageException e)
        {
            _isHopeless |= e is UnfitException && _site.IsCurrent;
            next = Fail(ConversionStage.Failed, e.Message);
        }

        GoOn(next);
    }

    private bool MayAbort => _stage < ConversionStage.Switching;

    private void GoOn(NextStep next)
    {
        lock (_lock)
        {
            _turn = next switch
            {
                NextStep.Slice => StepOwner.Job,
                NextStep.Mailbox => StepOwner.Mailbox,
                NextStep.Pause => StepOwner.Timer,
                _ => StepOwner.Nobody,
            };
        }

        _rests.Pulse();
        switch (next)
        {
            case NextStep.Slice:
                _scheduler.Schedule(this, JobPriority.Compaction);
                break;
            case NextStep.Mailbox:
                _site.Mailbox.Post(this);
                break;
            case NextStep.Pause:
                _timer.Change(_pause, Timeout.InfiniteTimeSpan);
                break;
            default:
                _timer.Dispose();
                break;
        }
    }

    private NextStep After(TimeSpan pause)
    {
        _pause = pause;
        return NextStep.Pause;
    }

    private void Wake()
    {
        lock (_lock)
        {
            if (_turn != StepOwner.Timer)
                return;
            _turn = StepOwner.Job;
        }

        _scheduler.Schedule(this, JobPriority.Compaction);
    }

    /// <summary>It comes to nothing: what was made goes by and by.</summary>
    private NextStep Fail(ConversionStage how, string reason)
    {
        if (_stage == ConversionStage.Withdrawing)
            return After(s_retry);
        (_failsAs, _reason) = (how, reason);
        Tell(ConversionStage.Withdrawing);
        return NextStep.Slice;
    }

    private NextStep Withdraw()
    {
        // While it is not known which of them a restart would find, both stay whole.
        if (!_isWithdrawn)
            return NextStep.Mailbox;
        _isForgotten = true;
        CloseScans();
        _feed?.Dispose();
        _target?.Dispose();
        _site.Forget(removesTarget: _mayHaveMadeTarget);
        Tell(_failsAs, _reason);
        return NextStep.End;
    }

    private NextStep Retire()
    {
        if (!_hasWaited)
        {
            _hasWaited = true;
            return After(s_grace);
        }

        if (!_site.TryRetire(_before!))
            return After(s_poll);
        Volatile.Write(ref _before, null);
        return NextStep.End;
    }

    private void CloseScans()
    {
        _sourceRows?.Dispose();
        _targetRows?.Dispose();
        _sourceRows = _targetRows = null;
    }

    private void Tell(ConversionStage stage, string? reason = null)
    {
        _stage = stage;
        _status = _status with { Stage = stage, Reason = reason, IsHopeless = _isHopeless, Elapsed = _scheduler.Time.GetElapsedTime(_beganAt) };
        if (!_status.IsEnded || _measuredFrom is not { } from)
            return;
        _measuredFrom = null;
        _site.Meter.End(from);
    }
}
