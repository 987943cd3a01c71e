using Kvasir.Cluster.Logs;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// What a node does by the clock: hands unawaited writes to the system and syncs them by the interval, gives back journal
/// that no engine needs, keeps memory and journal within their bounds by flushing whoever holds them, and resumes after a
/// full disk.
/// </summary>
internal sealed class NodeUpkeep : IBackgroundJob
{
    // The dearer part of upkeep, which looks at every engine.
    private static readonly TimeSpan s_round = TimeSpan.FromMilliseconds(100);

    // Every so many: what costs more.
    private const int RoundsOfMemory = 200;

    // Rounds without a write after which the journal is as short as it can be.
    private const int IdleRounds = 50;

    // A memtable below this part of the journal that it keeps is flushed early, once that is this part of what may be kept.
    private const int CheapFlushPart = 8;

    private readonly KvasirNode _node;
    private readonly IScheduler _scheduler;
    private readonly JournalLog _log;
    private readonly HeldFolder _folder;
    private readonly SpaceReserve _reserve;
    private readonly IWaitPoint _idle;
    private readonly WriteRoom _room;
    private volatile NodeOptions _options;
    private volatile bool _syncsByInterval;
    private ITimer? _timer;
    private ITimer? _writeTimer;
    private long _lastSync;
    private long _lastRound;
    private LogPosition _idleAt;
    private int _idleRounds;

    // 1 from the first append that nobody waits for until the system is given it.
    private int _writeIsDue;

    // 1 while somebody waits for memory, until engines were told.
    private int _roomIsWanted;

    private int _rounds;

    // What people were told last: why writes are refused (a code), and whose files are behind.
    private string? _saidOfWrites;
    private readonly HashSet<uint> _saidOfFiles = [];

    // 0 idle, 1 scheduled or running, 2 stopped or paused.
    private int _state;

    public NodeUpkeep(KvasirNode node, NodeOptions options, HeldFolder folder, IScheduler scheduler, JournalLog log, SpaceReserve reserve)
    {
        _reserve = reserve;
        _node = node;
        _options = options;
        _folder = folder;
        _scheduler = scheduler;
        _log = log;
        _idle = scheduler.CreateWaitPoint();
        _room = new WriteRoom(node.Memory);
        _lastSync = scheduler.Time.GetTimestamp();
    }

    public string Name => "node upkeep";

    public void Start()
    {
        _syncsByInterval = SyncsByInterval();
        TimeSpan period = Period(_options);
        _writeTimer = _scheduler.Time.CreateTimer(_ => Tick(), state: null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer = _scheduler.Time.CreateTimer(_ => Tick(), state: null, period, period);
        _log.UnawaitedAppended = WriteSoon;
        _node.Memory.RoomWanted = MakeRoomSoon;
    }

    /// <summary>Durabilities have changed, or what keyspaces there are.</summary>
    public void Change(NodeOptions options)
    {
        _options = options;
        _syncsByInterval = SyncsByInterval();
        TimeSpan period = Period(options);
        _timer?.Change(period, period);
    }

    public void Stop()
    {
        _timer?.Dispose();
        _writeTimer?.Dispose();
        Pause();
    }

    /// <summary>Returns when no upkeep runs, and none will until <see cref="Resume"/>.</summary>
    public void Pause() => _idle.WaitUntil(() => Interlocked.CompareExchange(ref _state, 2, 0) is 0 or 2);

    public void Resume() => Interlocked.CompareExchange(ref _state, 0, 2);

    public void Run()
    {
        try
        {
            Unawaited();
            if (_folder.Loss is null && Interlocked.Exchange(ref _roomIsWanted, 0) != 0)
                BoundMemory();

            // Less than a round by a margin: a timer's tick that comes a little early is not to be lost.
            if (_scheduler.Time.GetElapsedTime(_lastRound) < s_round * 0.9)
                return;
            _lastRound = _scheduler.Time.GetTimestamp();

            // Before writes may be taken again in this round: that they were refused is said, however short it was.
            SayRefusal();
            if (_folder.LookForParts())
            {
                Resume(_log.Refusal);
                TrimJournal();
                BoundMemory();
                _node.RemoveDropped();
            }
            else
            {
                RefuseWithoutFolder();
            }

            if (++_rounds % RoundsOfMemory == 0)
                _node.Memory.Spares.Rest();
        }
        finally
        {
            Interlocked.CompareExchange(ref _state, 0, 1);
            _idle.Pulse();
        }
    }

    // By a timer that is set when there is something to write, so that a node that only reads is not woken.
    private void WriteSoon()
    {
        if (Volatile.Read(ref _writeIsDue) == 0 && Interlocked.Exchange(ref _writeIsDue, 1) == 0)
            _writeTimer?.Change(_options.WriteInterval, Timeout.InfiniteTimeSpan);
    }

    // Where the job is just about to end it stays until whoever waits asks again.
    private void MakeRoomSoon()
    {
        Volatile.Write(ref _roomIsWanted, 1);
        Tick();
    }

    private bool SyncsByInterval() =>
        _options.Durability == Durability.Interval || _node.Replicas.Any(static r => r.Options.Durability == Durability.Interval);

    private TimeSpan Period(NodeOptions options)
    {
        if (!_syncsByInterval || options.SyncInterval >= s_round)
            return s_round;
        return options.SyncInterval > options.WriteInterval ? options.SyncInterval : options.WriteInterval;
    }

    private void Tick()
    {
        if (Interlocked.CompareExchange(ref _state, 1, 0) == 0)
            _scheduler.Schedule(this, JobPriority.Upkeep);
    }

    private void Unawaited()
    {
        // Before the log is asked: what is appended meanwhile sets the timer again.
        Volatile.Write(ref _writeIsDue, 0);
        bool sync = _syncsByInterval && _scheduler.Time.GetElapsedTime(_lastSync) >= _options.SyncInterval;
        if (sync)
            _lastSync = _scheduler.Time.GetTimestamp();
        _log.CommitUnawaited(sync);
    }

    /// <summary>
    /// A folder that was moved or removed takes writes as before, through the files that are open, and a restart would have
    /// none of them: refused instead, for good, since what is put there later need not be what this process has open. Flushes
    /// and compactions rest, too.
    /// </summary>
    private void RefuseWithoutFolder()
    {
        if (_log.Refusal is not { Code: "IOERR" })
            _log.Refuse(new WriteRefusal("IOERR", $"{_folder.Loss}: writes are refused and reads go on as far as they can; put it back, then restart"));
    }

    /// <summary>Once when writes stop, and once when they are taken again. What the journal has failed for its listener has been told.</summary>
    private void SayRefusal()
    {
        WriteRefusal? refusal = _log.Refusal;
        if (refusal?.Code == _saidOfWrites)
            return;
        if (refusal is null)
            _options.Warner?.Invoke("writes are taken again");
        else if (_log.Journal.Failure == JournalFailure.None)
            _options.Warner?.Invoke(refusal.Message);
        _saidOfWrites = refusal?.Code;
    }

    private void SayFailure(Replica replica)
    {
        if (replica.Engine.BackgroundFailure is not { } failure)
            _saidOfFiles.Remove(replica.StreamId);
        else if (_saidOfFiles.Add(replica.StreamId))
            _options.Warner?.Invoke($"keyspace {replica.Options.Name} cannot bring its files up to date, and tries again: {failure.Message}");
    }

    private void Resume(WriteRefusal? refusal)
    {
        bool enginesWork = true;
        foreach (Replica replica in _node.ReplicaSpan)
        {
            SayFailure(replica);
            if (replica.Engine.BackgroundFailure is { } failure && !replica.Engine.TryResume())
            {
                enginesWork = false;
                if (refusal is null && replica.Engine.SuggestWriteDelay(0) > TimeSpan.Zero)
                {
                    _log.Refuse(new WriteRefusal(
                        WriteRefusal.FullDisk, $"keyspace {replica.Options.Name} cannot write its files: {failure.Message}. Reads go on; writes resume by themselves once it can"));
                }
            }
        }

        if (refusal is null || !enginesWork || _log.Journal.Failure == JournalFailure.DiskFailed || _node.HasDiscardsPending)
            return;
        if (!HoldsReserve())
        {
            FlushDeletions();
        }
        else
        {
            if (_log.Journal.Failure == JournalFailure.DiskFull)
                _log.TryResume();
            else
                _log.Refuse(refusal: null);
        }
    }

    /// <summary>What was let go is for deletions, and those give nothing back before they are in the files.</summary>
    private void FlushDeletions()
    {
        foreach (Replica replica in _node.ReplicaSpan)
        {
            if (replica.Engine.OldestUnflushedPosition is not null)
                replica.Engine.Flush();
        }
    }

    private bool HoldsReserve()
    {
        try
        {
            return _reserve.TryHold();
        }
        catch (StorageException)
        {
            // Tried again in a moment.
            return false;
        }
    }

    private void TrimJournal()
    {
        // Read before the engines are asked: an engine that has nothing unflushed may be written to right after its
        // answer, and what became durable since then is in nobody's answer. Nor is a record that is durable already
        // and about to be published.
        LogPosition durable = _log.DurablePosition;
        LogPosition published = _node.Mailbox.PublishedUpTo;
        Replica? oldest = null;

        // Asked before the engines, too: at its end an engine of theirs takes over what it needs.
        LogPosition needed = _node.NeededByConversion ?? LogPosition.Max;
        foreach (Replica replica in _node.ReplicaSpan)
        {
            if (replica.Engine.OldestUnflushedPosition is { } position && position < needed)
            {
                needed = position;
                oldest = replica;
            }
        }

        LogPosition answered = durable < published ? durable : published;
        LogPosition behind = new(answered.Value + 1);
        _log.Journal.TrimBefore(needed < behind ? needed : behind);
        if (oldest is not null && HoldsTooMuch(oldest, _log.RetainedBytes))
            oldest.Engine.Flush();
        ShortenWhenIdle();
    }

    /// <summary>A few writes to one keyspace must not keep all that others have flushed: flushing those costs next to nothing.</summary>
    private bool HoldsTooMuch(Replica oldest, long retained) =>
        retained > _options.JournalBytesMax
        || (retained > _options.JournalBytesMax / CheapFlushPart && oldest.Engine.GetStatistics().MemTableBytes < retained / CheapFlushPart);

    private void ShortenWhenIdle()
    {
        LogPosition appended = _log.AppendedPosition;
        if (appended != _idleAt)
        {
            _idleAt = appended;
            _idleRounds = 0;
        }
        else if (++_idleRounds == IdleRounds)
        {
            _log.Journal.Shorten();

            // Its own marks are no writes.
            _idleAt = _log.AppendedPosition;
        }
    }

    private void BoundMemory()
    {
        if (!_node.Memory.WriteLimitReached)
            return;
        foreach (Replica replica in _node.ReplicaSpan)
            _room.Add(replica.Engine);
        _room.Make();
    }
}
