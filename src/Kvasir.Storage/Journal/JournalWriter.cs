using System.Diagnostics.CodeAnalysis;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Journal;

/// <summary>
/// A segmented append-only log of opaque records (docs/formats/journal.md). Appending copies into memory; a commit
/// writes what is pending and syncs it once for everybody who waits.
/// <para>
/// <b>Threads.</b> Every member may be called from any thread. One thread at a time commits; the others append beside
/// it. There is no artificial delay: who finds nobody committing does it at once, on its own thread.
/// </para>
/// <para>
/// <b>Failure.</b> Segments are made of written blocks before they take a record, so most disks can only be found full
/// when the next segment is made; others refuse a write whole. Either way nothing of the pending records has been written, which
/// makes their failure definite. Any other failure of a write or a sync is final, as is a write that got a part of its bytes down.
/// </para>
/// A position is the logical place just after its record. Positions only grow; they skip marks and whatever was dropped.
/// </summary>
public sealed partial class JournalWriter : IDisposable
{
    // Kept for good, whatever the disk is doing.
    private const int IdleChunksMax = 8;

    private readonly IScheduler _scheduler;
    private readonly JournalOptions _options;
    private readonly SegmentFolder _folder;
    private readonly IWaitPoint _progress;
    private readonly ulong _journalId;
    private readonly uint _seed;
    private readonly Lock _lock = new();
    private readonly Func<bool> _nobodyCommits;
    private readonly Func<bool> _nobodySyncsBeside;
    private readonly Func<bool> _relieved;

    // As many as can be pending: a disk that stalls under load must not cost new ones with each stall.
    private readonly int _pooledChunksMax;

    // Each pending chunk begins with a mark that is not among the pending bytes.
    private readonly int _roomForMarks;

    // Under _lock. Invariant: _durable <= _written <= _appended; chunks in _sealed, then _tail, are contiguous and end
    // at _appended; _tail.Start == _appended while it has no record.
    private readonly Stack<PendingChunk> _pool = new();
    private readonly Stack<Waiter> _waiters = new();
    private List<PendingChunk> _sealed = [];
    private PendingChunk _tail;
    private long _pendingBytes;
    private ulong _appended;
    private ulong _lastRecord;
    private ulong _written;
    private ulong _durable;
    private JournalFailure _failure;
    private Exception? _failureCause;
    private (ulong After, ulong UpTo)[] _dropped = [];
    private bool _committing;
    private bool _closed;
    private long _records;
    private long _writes;
    private long _writtenBytes;
    private long _syncs;
    private long _syncMicroseconds;
    private long _slowestSyncMicroseconds;

    // Belongs to whoever commits.
    private List<PendingChunk> _writing = [];
    private ActiveSegment _segment;

    private JournalWriter(IScheduler scheduler, JournalOptions options, SegmentFolder folder, JournalTail tail)
    {
        _scheduler = scheduler;
        _options = options;
        _folder = folder;
        _progress = scheduler.CreateWaitPoint();
        _journalId = tail.JournalId;
        _seed = JournalFormat.SeedOf(tail.JournalId);
        _segment = tail.Segment;
        _retained = tail.Retained;
        _oldestNeeded = tail.OldestNeeded;
        _written = _durable = _told = _lastRecord = tail.Segment.EndPosition;
        _appended = tail.Begin;
        if (tail.Full is not null)
            (_failure, _failureCause) = (JournalFailure.DiskFull, tail.Full);
        _pooledChunksMax = Math.Max(IdleChunksMax, options.PendingBytesMax / PendingChunk.OrdinaryBytes);
        _roomForMarks = _pooledChunksMax * JournalFormat.MarkBytes;
        _tail = new PendingChunk(PendingChunk.OrdinaryBytes);
        _tail.Begin(_appended);
        _nobodyCommits = () => !Volatile.Read(ref _committing);
        _nobodySyncsBeside = () => !Volatile.Read(ref _syncingBeside);
        _relieved = () => Volatile.Read(ref _pendingBytes) < _options.PendingBytesMax || !Volatile.Read(ref _committing);
        _commitJob = new CommitJob(this);
        _prepareJob = new PrepareJob(this);
        PrepareNextSegmentIfDue();
    }

    /// <summary>
    /// Opens the journal in <paramref name="folder"/>, making it when there is none: checks what is there, calls
    /// <paramref name="replay"/> for every record after <paramref name="replayAfter"/>, in order, all of them durable,
    /// and goes on behind the last one. A torn tail is dropped; damage or a missing segment stops the start, and so does a full disk
    /// unless <see cref="JournalOptions.OpensOnFullDisk"/>.
    /// </summary>
    public static JournalWriter Open(
        IFileSystem files,
        IScheduler scheduler,
        string folder,
        JournalOptions options,
        LogPosition replayAfter,
        JournalReplayHandler replay)
    {
        Check.That(options.FirstSegmentBytes >= JournalFormat.SegmentHeaderBytes * 2);
        Check.That(options.SegmentBytes >= options.FirstSegmentBytes);
        var segments = new SegmentFolder(files, folder);
        JournalTail tail = JournalTail.Recover(files, segments, folder, options, scheduler.Time, replayAfter, replay);
        return new JournalWriter(scheduler, options, segments, tail);
    }

    /// <summary>Drawn when the journal was made: what tells it from every other.</summary>
    public ulong JournalId => _journalId;

    /// <summary>Set before the first append.</summary>
    public IJournalListener? Listener { get; set; }

    /// <summary>
    /// Asked before segments are let go, by whoever trims: what they held must be durable in the engines' files, and known to be.
    /// False: not now. Set before the first append.
    /// </summary>
    public Func<bool>? BeforeLettingGo { get; set; }

    public LogPosition AppendedPosition => new(Volatile.Read(ref _appended));

    /// <summary>Everything up to here has been handed to the system: it survives the process, not the machine.</summary>
    public LogPosition WrittenPosition => new(Volatile.Read(ref _written));

    public LogPosition DurablePosition => new(Volatile.Read(ref _durable));

    public JournalFailure Failure
    {
        get { lock (_lock) return _failure; }
    }

    public JournalStatistics Statistics
    {
        get
        {
            lock (_lock)
                return new JournalStatistics(_records, _writes, _writtenBytes, _syncs, _syncMicroseconds, _slowestSyncMicroseconds);
        }
    }

    /// <summary>What caused <see cref="Failure"/>.</summary>
    public Exception? FailureCause
    {
        get { lock (_lock) return _failureCause; }
    }

    /// <summary>
    /// Takes a record, in memory; it is durable once <see cref="DurablePosition"/> reaches the returned position. Waits
    /// only when <see cref="JournalOptions.PendingBytesMax"/> bytes are pending.
    /// </summary>
    public LogPosition Append(ReadOnlySpan<byte> payload)
    {
        Check.That(payload.Length <= _options.RecordBytesMax, $"a record of {payload.Length} bytes");
        if (Volatile.Read(ref _pendingBytes) >= _options.PendingBytesMax)
            Relieve();
        int total = JournalFormat.RecordHeaderBytes + payload.Length;
        lock (_lock)
        {
            if (_failure != JournalFailure.None || _closed)
                ThrowStopped();
            PendingChunk chunk = _tail;
            if (chunk.Bytes.Length - chunk.Length < total)
                chunk = SealTailLocked(total);
            Span<byte> record = chunk.Bytes.AsSpan(chunk.Length, total);
            payload.CopyTo(record[JournalFormat.RecordHeaderBytes..]);
            JournalFormat.Seal(record, JournalEntryKind.Record, _seed, chunk.End);
            chunk.Length += total;
            _pendingBytes += total;
            _records++;
            _lastRecord = chunk.End;
            Volatile.Write(ref _appended, chunk.End);
            return new LogPosition(chunk.End);
        }
    }

    /// <summary>
    /// Returns when everything up to <paramref name="position"/> is on stable storage. Commits on the calling thread
    /// when nobody else is committing, else rides on the next commit.
    /// </summary>
    public void WaitDurable(LogPosition position)
    {
        Check.That(position <= AppendedPosition, $"position {position} was never appended");
        while (!IsDurable(position.Value))
        {
            if (TryEnterCommit())
            {
                try
                {
                    if (!IsDurable(position.Value))
                        CommitPending(sync: true);
                }
                finally
                {
                    LeaveCommit();
                }

                continue;
            }

            Waiter waiter = RentWaiter(position.Value);
            _progress.WaitUntil(waiter.Condition);
            lock (_lock)
                _waiters.Push(waiter);
        }
    }

    /// <summary>
    /// Writes everything appended so far, on the calling thread, and syncs it if <paramref name="sync"/>. Throws what
    /// stopped it.
    /// </summary>
    public void Commit(bool sync)
    {
        EnterCommit();
        try
        {
            ThrowIfStopped();
            CommitPending(sync);
        }
        finally
        {
            LeaveCommit();
        }

        ThrowIfStopped();
    }

    /// <summary>
    /// Hands everything appended so far to the system on the calling thread, unless that could take long: false, and
    /// nothing done, when somebody else is committing or a segment is full. A failure is told to the listener.
    /// </summary>
    public bool TryWrite()
    {
        if (!TryEnterCommit())
            return false;
        try
        {
            if (Failure != JournalFailure.None || _closed || !_segment.HasRoomFor(checked((int)Volatile.Read(ref _pendingBytes) + _roomForMarks)))
                return false;
            CommitPending(sync: false);
            return true;
        }
        finally
        {
            LeaveCommit();
        }
    }

    /// <summary>
    /// Takes no records any more and reports none durable, for good: as if the disk had failed, and for a cause that the journal itself cannot
    /// see. Waits for a sync that is under way. Any thread.
    /// </summary>
    public void GiveUp(Exception cause)
    {
        EnterCommit();
        try
        {
            if (!_closed && Failure != JournalFailure.DiskFailed)
                Fail(JournalFailure.DiskFailed, cause);
        }
        finally
        {
            LeaveCommit();
        }
    }

    /// <summary>
    /// After <see cref="JournalFailure.DiskFull"/>: tries to make a segment again. The caller has forgotten by then what
    /// did not become durable. True when appends are taken again.
    /// </summary>
    public bool TryResume()
    {
        EnterCommit();
        try
        {
            JournalFailure failure = Failure;
            if (_closed)
                return false;
            if (failure != JournalFailure.DiskFull)
                return failure == JournalFailure.None;
            try
            {
                StartSegment(_appended, JournalFormat.MarkBytes, _options.FirstSegmentBytes);
            }
            catch (DiskFullException)
            {
                return false;
            }
            catch (StorageException exception)
            {
                Fail(JournalFailure.DiskFailed, exception);
                return false;
            }

            lock (_lock)
            {
                _failure = JournalFailure.None;
                _failureCause = null;
                _written = _durable = _told = _appended;
            }

            return true;
        }
        finally
        {
            LeaveCommit();
        }
    }

    /// <summary>Commits what is pending and marks the orderly end, after which any damage can be told from a torn tail.</summary>
    public void Dispose()
    {
        EnterCommit();
        try
        {
            if (_closed)
                return;
            if (Failure == JournalFailure.None)
                CommitPending(sync: true);
            if (Failure == JournalFailure.None)
                WriteMark(JournalEntryKind.ClosingMark, sync: true);
            lock (_lock)
                _closed = true;
        }
        finally
        {
            LeaveCommit();
        }

        _progress.WaitUntil(() => !IsWorkingOnFiles());
        _segment.File.Dispose();
        _folder.DeleteSpares();
    }

    private bool IsDurable(ulong position)
    {
        if (Volatile.Read(ref _durable) >= position && Volatile.Read(ref _dropped).Length == 0)
            return true;
        lock (_lock)
        {
            foreach ((ulong after, ulong upTo) in _dropped)
            {
                if (position <= after || position > upTo)
                    continue;
                if (_failure != JournalFailure.None)
                    ThrowStopped();
                throw new WritesStoppedException("the disk was full: the record was not written and will not be");
            }

            if (_durable >= position)
                return true;
            if (_failure != JournalFailure.None || _closed)
                ThrowStopped();
            return false;
        }
    }

    /// <summary>Makes the tail a chunk of its own and begins another with room for <paramref name="bytes"/>.</summary>
    private PendingChunk SealTailLocked(int bytes)
    {
        int wanted = Math.Max(PendingChunk.OrdinaryBytes, JournalFormat.MarkBytes + bytes);
        if (_tail.HasRecords)
            _sealed.Add(_tail);
        else
            ReturnChunkLocked(_tail);
        PendingChunk next = wanted == PendingChunk.OrdinaryBytes && _pool.TryPop(out PendingChunk? pooled)
            ? pooled
            : new PendingChunk(wanted);
        next.Begin(_appended);
        return _tail = next;
    }

    private void ReturnChunkLocked(PendingChunk chunk)
    {
        if (chunk.Bytes.Length == PendingChunk.OrdinaryBytes && _pool.Count < _pooledChunksMax)
            _pool.Push(chunk);
    }

    private void Relieve()
    {
        while (Volatile.Read(ref _pendingBytes) >= _options.PendingBytesMax && Failure == JournalFailure.None)
        {
            if (!TryEnterCommit())
            {
                _progress.WaitUntil(_relieved);
                continue;
            }

            try
            {
                CommitPending(sync: false);
            }
            finally
            {
                LeaveCommit();
            }
        }
    }

    private bool TryEnterCommit()
    {
        lock (_lock)
        {
            if (_committing)
                return false;
            _committing = true;
            return true;
        }
    }

    private void EnterCommit()
    {
        while (!TryEnterCommit())
            _progress.WaitUntil(_nobodyCommits);
    }

    private void LeaveCommit()
    {
        lock (_lock)
            _committing = false;
        _progress.Pulse();
        TellDurable();
    }

    private void ThrowIfStopped()
    {
        lock (_lock)
        {
            if (_failure != JournalFailure.None || _closed)
                ThrowStopped();
        }
    }

    [DoesNotReturn]
    private void ThrowStopped()
    {
        if (_failure == JournalFailure.None)
            throw new WritesStoppedException("the journal is closed");
        throw new WritesStoppedException(
            _failure == JournalFailure.DiskFull
                ? $"writes are stopped because the disk is full; free some space ({_failureCause?.Message})"
                : $"writes are stopped because the disk failed; look after it, then restart ({_failureCause?.Message})",
            _failureCause);
    }

    private Waiter RentWaiter(ulong position)
    {
        lock (_lock)
        {
            if (!_waiters.TryPop(out Waiter? waiter))
                waiter = new Waiter(this);
            waiter.Position = position;
            return waiter;
        }
    }

    /// <summary>A condition to wait for that is made once and used again.</summary>
    private sealed class Waiter
    {
        public Waiter(JournalWriter journal) =>
            Condition = () => Volatile.Read(ref journal._durable) >= Position || !Volatile.Read(ref journal._committing);

        public ulong Position { get; set; }

        public Func<bool> Condition { get; }
    }
}
