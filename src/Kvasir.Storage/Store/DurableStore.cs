using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Store;

/// <summary>
/// A store of its own in one folder: a lock, a journal, and an engine below it. This is what embeds Kvasir in another
/// program.
/// <para>
/// Writers queue. The first becomes the leader: it appends the batches of all who wait to the journal, has them written
/// and synced once, then applies them to the engine in that order and answers everybody. So a write is visible only
/// when it is as durable as was asked.
/// </para>
/// Every member may be called from any thread.
/// </summary>
public sealed class DurableStore : IDisposable
{
    private static readonly TimeSpan s_resumeInterval = TimeSpan.FromMilliseconds(200);

    private readonly IScheduler _scheduler;
    private readonly DurableStoreOptions _options;
    private readonly IDisposable _folderLock;
    private readonly IFileSystem _files;
    private readonly JournalWriter _journal;
    private readonly JournalKeeper _keeper;

    // Under _lock.
    private readonly Lock _lock = new();
    private readonly Stack<QueuedWrite> _pool = new();
    private readonly IWaitPoint _idle;
    private List<QueuedWrite> _queue = [];
    private bool _hasLeader;
    private bool _disposed;

    // The leader's.
    private List<QueuedWrite> _group = [];
    private long _resumeTriedAt = long.MinValue;

    private DurableStore(
        IFileSystem files,
        IScheduler scheduler,
        DurableStoreOptions options,
        IDisposable folderLock,
        JournalWriter journal,
        IStorageEngine engine,
        FlushedFile flushed)
    {
        _files = files;
        _scheduler = scheduler;
        _options = options;
        _folderLock = folderLock;
        _journal = journal;
        Engine = engine;
        _idle = scheduler.CreateWaitPoint();
        _keeper = new JournalKeeper(journal, engine, scheduler, options, flushed);
    }

    /// <summary>The engine below, for reading; writes come through <see cref="Write"/>.</summary>
    public IStorageEngine Engine { get; }

    public JournalFailure JournalFailure => _journal.Failure;

    /// <summary>Bytes of the journal's files.</summary>
    public long JournalBytes => _journal.RetainedBytes;

    /// <summary>
    /// Opens the store in <paramref name="folder"/>, or makes one. Fails closed: damage, a missing file, or somebody else
    /// who has it open stops it. On a full disk what is there can be read, and writes are refused until there is room.
    /// </summary>
    public static DurableStore Open(
        IFileSystem files, IScheduler scheduler, string folder, IEngineFactory engines, DurableStoreOptions options)
    {
        files.CreateFolder(folder);
        IDisposable folderLock = files.Lock(folder + "/LOCK");
        IStorageEngine? engine = null;
        JournalWriter? journal = null;
        try
        {
            StoreIdentity? identity = StoreIdentity.Check(files, folder, engines.Name);
            JournalOptions known = identity is null ? options.Journal : options.Journal with { MustExist = true, JournalId = identity.JournalId };
            var environment = new EngineEnvironment(files, scheduler, new MemoryBudget(options.MemoryBytes, options.WriteMemoryBytes))
            {
                StabilityWanted = () => journal?.RequestCommit(sync: true),
                TakesAll = true,
            };

            // Before the engine is opened: it would remove the files that a manifest without its end does not name.
            FlushedFile flushed = FlushedFile.Open(files, folder, known.JournalId);
            if (flushed.Marks.Missing(0, engines.ReadFlushedPosition(files, folder + "/engine")) is { } missing)
                throw new CorruptionException(folder + "/engine", 0, missing);
            engine = engines.Open(folder + "/engine", environment);

            // It read for itself, and a misread may have sent it back to a state that it kept beside the last one.
            if (flushed.Marks.Missing(0, engine.FlushedPosition) is { } gone)
                throw new CorruptionException(folder + "/engine", 0, gone);
            IStorageEngine target = engine;
            journal = JournalWriter.Open(
                files,
                scheduler,
                folder + "/journal",
                known with { MustReach = flushed.Marks.End, OpensOnFullDisk = true },
                engine.FlushedPosition,
                (position, payload) => Replay(target, scheduler, position, payload));
            if (identity is null)
                (identity = new StoreIdentity(engines.Name, journal.JournalId)).Write(files, folder);
            var store = new DurableStore(files, scheduler, options, folderLock, journal, engine, flushed);
            store.TryTellOfFlushed(folder, identity);
            return store;
        }
        catch
        {
            journal?.Dispose();
            engine?.Dispose();
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Applies a batch, whole or not at all. A <see cref="WritesStoppedException"/> over a full disk is definite: the batch
    /// will never take effect. Over a failed disk it is not: the batch may be found after a restart.
    /// </summary>
    public void Write(WriteBatch batch, WriteDurability durability = WriteDurability.Sync)
    {
        if (batch.Count == 0)
            return;

        // The journal would keep what the engine can never take.
        if (Misfit.Of(batch.Bytes, Engine) is { } misfit)
            throw new ArgumentException(misfit, nameof(batch));
        QueuedWrite write;
        bool leads;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_pool.TryPop(out QueuedWrite? pooled))
                pooled = new QueuedWrite(_scheduler.CreateWaitPoint());
            write = pooled;
            write.Begin(batch, durability);
            _queue.Add(write);
            leads = !_hasLeader;
            _hasLeader = true;
        }

        if (!leads)
        {
            write.Wait();
            leads = !write.Done;
        }

        if (leads)
            Lead();
        Exception? failure = write.Failure;
        lock (_lock)
        {
            write.Clear();
            _pool.Push(write);
        }

        if (failure is IndexFullException)
            throw new IndexFullException(failure.Message, failure);
        if (failure is not null)
            throw new WritesStoppedException(failure.Message, failure);
    }

    /// <summary>See <see cref="IStorageEngine.Get"/>.</summary>
    public EntryInfo Get(ReadOnlySpan<byte> key, BytesBuffer? value) => Engine.Get(key, DefaultView, value);

    public EntryInfo Get(ReadOnlySpan<byte> key, EngineSnapshot snapshot, BytesBuffer? value) =>
        Engine.Get(key, ReadView.At(snapshot), value);

    public EngineSnapshot CreateSnapshot() => Engine.CreateSnapshot();

    /// <summary>A walk over all live keys, in the engine's own order.</summary>
    public EngineScan CreateScan(in IteratorOptions options) => Engine.CreateScan(options);

    /// <summary>An iterator; <see cref="NotSupportedException"/> where the engine keeps no order.</summary>
    public EngineIterator CreateIterator(in IteratorOptions options) =>
        Engine is IOrderedEngine ordered
            ? ordered.CreateIterator(options)
            : throw new NotSupportedException("this engine keeps no order of keys");

    /// <summary>Makes everything written so far durable in the engine's files, and the journal short.</summary>
    public void Flush()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        SyncAndMarkStable();
        Engine.Flush();
        Engine.WaitForFlush();
        _keeper.TrimAll();
    }

    /// <summary>
    /// Writes an openable copy of everything written so far to a new folder on the same disk, by hard links. Cancelled, it leaves nothing.
    /// </summary>
    public void Checkpoint(string folder, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        cancellation.ThrowIfCancellationRequested();
        if (_files.FolderExists(folder) || _files.FileExists(folder))
            throw new ArgumentException($"{folder} exists; a checkpoint wants a new folder", nameof(folder));
        SyncAndMarkStable();
        using EngineCheckpoint checkpoint = Engine.BeginCheckpoint();
        FolderTree.Build(_files, folder, () =>
        {
            checkpoint.WriteTo(folder + "/engine", cancellation);
            cancellation.ThrowIfCancellationRequested();
            _files.SyncFolder(folder);
        });
        _keeper.TrimAll();
    }

    /// <summary>Waits for the writers that are at work, and closes. Nothing is flushed: the next start replays.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        _idle.WaitUntil(() =>
        {
            lock (_lock)
                return !_hasLeader;
        });
        _keeper.Stop();
        _journal.Dispose();
        _keeper.SaveEnd();
        Engine.Dispose();
        _folderLock.Dispose();
    }

    /// <summary>
    /// From now on <c>FLUSHED</c> is missed where it is not there. Where the disk refuses, a later start says it: what must be there is there.
    /// </summary>
    private void TryTellOfFlushed(string folder, StoreIdentity identity)
    {
        if (identity.HasFlushed || !_keeper.HasFlushedFile || _journal.Failure != JournalFailure.None)
            return;
        try
        {
            (identity with { JournalId = _journal.JournalId, HasFlushed = true }).Write(_files, folder);
        }
        catch (StorageException)
        {
        }
    }

    private void SyncAndMarkStable()
    {
        try
        {
            _journal.Commit(sync: true);
        }
        catch (WritesStoppedException stopped) when (Volatile.Read(ref _disposed))
        {
            throw new ObjectDisposedException("the store was closed", stopped);
        }

        // Who synced it may be another thread that is only about to say so.
        Engine.MarkStable(_journal.DurablePosition);
    }

    /// <summary>
    /// Once the journal has failed for good, only what is certain to be found again after a restart.
    /// </summary>
    private ReadView DefaultView => _keeper.JournalLost ? ReadView.Stable : ReadView.Published;

    private static void Replay(IStorageEngine engine, IScheduler scheduler, LogPosition position, ReadOnlySpan<byte> payload)
    {
        // Marked stable before, so that a replay larger than memory can be flushed on the way.
        engine.MarkStable(position);
        PauseAsSuggested(engine, scheduler, payload.Length);
        var reader = new JournalPayloadReader(payload);
        while (reader.MoveNext())
            engine.Stage(reader.Bytes);
        Check.That(!reader.Malformed, $"the record at position {position} is no list of entries");
        engine.Publish(position);
    }

    private static void PauseAsSuggested(IStorageEngine engine, IScheduler scheduler, int bytes)
    {
        while (engine.BackgroundFailure is null && engine.SuggestWriteDelay(bytes) is var delay && delay > TimeSpan.Zero)
            scheduler.Pause(delay);
    }

    private void Lead()
    {
        lock (_lock)
            (_group, _queue) = (_queue, _group);
        try
        {
            WriteGroup(_group);
        }
        catch (Exception exception)
        {
            foreach (QueuedWrite write in _group)
                write.Failure ??= write.Applied ? null : exception;
            if (exception is not StorageException)
                throw;
        }
        finally
        {
            PassOn();
        }
    }

    /// <summary>Answers the group and appoints the next leader.</summary>
    private void PassOn()
    {
        foreach (QueuedWrite write in _group)
            write.Finish();
        _group.Clear();
        QueuedWrite? next = null;
        lock (_lock)
        {
            if (_queue.Count > 0)
                next = _queue[0];
            else
                _hasLeader = false;
        }

        if (next is not null)
            next.Appoint();
        else
            _idle.Pulse();
    }

    private void WriteGroup(List<QueuedWrite> group)
    {
        int bytes = 0;
        bool sync = false;
        bool interval = false;
        foreach (QueuedWrite write in group)
        {
            bytes += write.Batch.Bytes.Length;
            sync |= write.Durability == WriteDurability.Sync;
            interval |= write.Durability == WriteDurability.Interval;
        }

        ResumeIfDue();
        if (Engine.BackgroundFailure is { } failure)
            throw new WritesStoppedException($"writes are stopped because the engine could not save: {failure.Message}", failure);
        PauseAsSuggested(Engine, _scheduler, bytes);

        LogPosition last = default;
        long keysLeft = Engine.KeysLeft;
        try
        {
            foreach (QueuedWrite write in group)
            {
                if (keysLeft == long.MaxValue || IsThereRoomFor(write, ref keysLeft))
                    write.Position = last = _journal.Append(write.Encode());
            }

            if (last == LogPosition.Zero)
                return;
            if (sync)
                _journal.WaitDurable(last);
            else
                _journal.Commit(sync: false);
        }
        catch (WritesStoppedException)
        {
            // What became durable before the failure did happen, and its writers are told so.
            Apply(group, _journal.DurablePosition);
            throw;
        }

        Apply(group, last);
        _keeper.AfterWrite(last, interval && !sync);
    }

    /// <summary>What gets into the journal must be taken by the engine, now and at each replay: what it has no room for is refused before.</summary>
    private bool IsThereRoomFor(QueuedWrite write, ref long keysLeft)
    {
        long added = 0;
        if (write.Batch.Count > keysLeft)
        {
            var reader = new BatchReader(write.Batch.Bytes);
            while (reader.MoveNext())
            {
                // One that is there, deleted but not forgotten yet, counts as new.
                bool isPut = reader.Kind is BatchOperationKind.Put or BatchOperationKind.PutExpiring;
                added += isPut && !Engine.Get(reader.Key, ReadView.Published, value: null).Found ? 1 : 0;
            }

            if (added > keysLeft)
            {
                EngineStatistics statistics = Engine.GetStatistics();
                write.Failure = new IndexFullException(
                    $"the keys in memory take {statistics.IndexBytes} of {statistics.IndexLimitBytes} bytes that they may take: no new ones are taken; delete some, or give the store more memory; the room of what is deleted comes in the background, once it is an eighth of them, and not for what is in the same batch");
                return false;
            }
        }
        else
        {
            added = write.Batch.Count;
        }

        keysLeft -= added;
        return true;
    }

    private void Apply(List<QueuedWrite> group, LogPosition upTo)
    {
        LogPosition last = default;
        foreach (QueuedWrite write in group)
        {
            if (write.Position > upTo)
                break;
            if (write.Position == LogPosition.Zero)
                continue;
            Engine.Stage(write.Batch.Bytes);
            write.Applied = true;
            last = write.Position;
        }

        if (last > LogPosition.Zero)
            Engine.Publish(last);
    }

    /// <summary>After a full disk: looks now and then whether there is space again.</summary>
    private void ResumeIfDue()
    {
        bool journalFull = _journal.Failure == JournalFailure.DiskFull;
        if (!journalFull && Engine.BackgroundFailure is null)
            return;
        long now = _scheduler.Time.GetTimestamp();
        if (_resumeTriedAt != long.MinValue && _scheduler.Time.GetElapsedTime(_resumeTriedAt, now) < s_resumeInterval)
            return;
        _resumeTriedAt = now;

        // Nothing that the journal dropped was published, so the engine has nothing to forget.
        if (Engine.BackgroundFailure is not null)
            Engine.TryResume();
        if (journalFull)
            _journal.TryResume();
    }
}
