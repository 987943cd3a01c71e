using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Simulation.Models;

/// <summary>
/// The engine contract in its plainest form: a sorted list of keys, each with its versions, behind one lock. It is the
/// oracle that real engines are compared with, so it prefers being plainly right to being fast. A flush rewrites the
/// whole stable content into one file.
/// </summary>
public sealed class ModelEngine : IOrderedEngine
{
    private readonly EngineEnvironment _environment;
    private readonly ModelFile _file;
    private readonly Lock _lock = new();
    private readonly IWaitPoint _flushDone;
    private readonly FlushJob _flushJob;

    /// <summary>Ascending by key; no key twice; no entry without a version.</summary>
    private readonly List<ModelEntry> _entries = [];

    /// <summary>What snapshots and iterators can see; keeps versions from being dropped.</summary>
    private readonly List<ModelView> _views = [];

    /// <summary>Publications after the flushed position, ascending.</summary>
    private readonly List<Publication> _publications = [];

    // Invariant: _flushed <= _stable (both of what was published) <= _last <= _staged.
    private ulong _stagedSequence;
    private ulong _lastSequence;
    private ulong _stableSequence;
    private LogPosition _published;
    private LogPosition _stable;
    private LogPosition _flushed;
    private long _flushesRequested;
    private long _flushesDone;
    private bool _flushRunning;
    private bool _disposed;
    private long _userBytes;

    internal ModelEngine(string folder, EngineEnvironment environment)
    {
        _environment = environment;
        _file = new ModelFile(environment.Files, folder);
        _flushDone = environment.Scheduler.CreateWaitPoint();
        _flushJob = new FlushJob(this);
        ModelFileContent content = _file.Load();
        _flushed = _published = _stable = content.Position;
        _stagedSequence = _lastSequence = _stableSequence = content.Sequence;
        foreach (ModelRow row in content.Rows)
            _entries.Add(new ModelEntry(row.Key, row.Version));
    }

    public static ModelEngine Open(string folder, EngineEnvironment environment) => new(folder, environment);

    public int ValueBytesMax { get; internal init; } = int.MaxValue;

    public LogPosition PublishedPosition
    {
        get { lock (_lock) return _published; }
    }

    public LogPosition FlushedPosition
    {
        get { lock (_lock) return _flushed; }
    }

    public LogPosition? OldestUnflushedPosition
    {
        get { lock (_lock) return _publications.Count == 0 ? null : _publications[0].Position; }
    }

    public SequenceNumber LastSequence
    {
        get { lock (_lock) return new SequenceNumber(_lastSequence); }
    }

    public SequenceNumber StableSequence
    {
        get { lock (_lock) return new SequenceNumber(_stableSequence); }
    }

    public Exception? BackgroundFailure { get; private set; }

    public void Stage(ReadOnlySpan<byte> batch)
    {
        lock (_lock)
        {
            _userBytes += batch.Length;
            var reader = new BatchReader(batch);
            while (reader.MoveNext())
            {
                Check.That(reader.Kind == BatchOperationKind.DeleteRange || reader.Value.Length <= ValueBytesMax, "a value is staged that is too long");
                ulong sequence = ++_stagedSequence;
                switch (reader.Kind)
                {
                    case BatchOperationKind.Put:
                    case BatchOperationKind.PutExpiring:
                        AddVersionLocked(reader.Key, new ModelVersion(sequence, reader.Value.ToArray(), reader.ExpiresAtMs));
                        break;
                    case BatchOperationKind.Delete:
                        AddVersionLocked(reader.Key, new ModelVersion(sequence, Value: null, ExpiresAtMs: 0));
                        break;
                    case BatchOperationKind.DeleteRange:
                        DeleteRangeLocked(reader.Key, reader.Value, sequence);
                        break;
                    default:
                        Check.Fail($"operation kind {reader.Kind}");
                        break;
                }
            }

            Check.That(!reader.Malformed, "a staged batch makes no sense");
        }
    }

    public void Publish(LogPosition position, bool awaited = true)
    {
        lock (_lock)
        {
            if (_stagedSequence == _lastSequence)
                return;
            Check.That(position > _published, $"published {position} after {_published}");
            _published = position;
            _lastSequence = _stagedSequence;
            _publications.Add(new Publication(position, _lastSequence));
            if (position <= _stable)
                _stableSequence = _lastSequence;
        }
    }

    public void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches)
    {
        for (int i = 0; i < batches.Length; i++)
        {
            LoggedBatch batch = batches[i];
            Stage(payloads.Slice(batch.Start, batch.Length));
            if (i + 1 == batches.Length || batches[i + 1].Position != batch.Position)
                Publish(batch.Position);
        }
    }

    public void MarkStable(LogPosition position)
    {
        lock (_lock)
        {
            if (position <= _stable)
                return;
            _stable = position;
            foreach (Publication publication in _publications)
            {
                if (publication.Position <= position)
                    _stableSequence = publication.LastSequence;
            }
        }
    }

    public void DiscardAfter(LogPosition position)
    {
        lock (_lock)
        {
            ulong keep = _stableSequence;
            LogPosition published = _flushed;
            foreach (Publication publication in _publications)
            {
                if (publication.Position > position)
                    break;
                keep = publication.LastSequence;
                published = publication.Position;
            }

            Check.That(keep >= _stableSequence, $"discard after {position}, before what is stable");
            _publications.RemoveAll(publication => publication.Position > position);
            for (int i = _entries.Count - 1; i >= 0; i--)
            {
                _entries[i].Versions.RemoveAll(version => version.Sequence > keep);
                if (_entries[i].Versions.Count == 0)
                    _entries.RemoveAt(i);
            }

            // Sequence numbers are given again, so older views must not reach into the new ones.
            foreach (ModelView view in _views)
                view.Sequence = Math.Min(view.Sequence, keep);
            _stagedSequence = _lastSequence = keep;
            if (published < _published)
                _published = published;
        }
    }

    public TimeSpan SuggestWriteDelay(int bytes) => TimeSpan.Zero;

    public EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value)
    {
        lock (_lock)
        {
            int index = IndexOf(key);
            if (index < 0 || _entries[index].VisibleAt(SequenceOf(view)) is not { } version)
                return default;
            if (!version.LivesAt(NowMs))
                return new EntryInfo(Found: false, new SequenceNumber(version.Sequence), version.ExpiresAtMs, 0);
            value?.Append(version.Value);
            return new EntryInfo(
                Found: true, new SequenceNumber(version.Sequence), version.ExpiresAtMs, version.Value!.Length);
        }
    }

    public EngineSnapshot CreateSnapshot()
    {
        lock (_lock)
            return new ModelSnapshot(this, AddViewLocked(_lastSequence));
    }

    public EngineScan CreateScan(in IteratorOptions options) => CreateIterator(options);

    public EngineIterator CreateIterator(in IteratorOptions options)
    {
        lock (_lock)
        {
            byte[]? upper = options.UpperBound.IsEmpty ? null : options.UpperBound.ToArray();
            long nowMs = options.IncludeExpired ? long.MinValue : NowMs;
            return new ModelIterator(
                this, AddViewLocked(SequenceOf(options.View)), nowMs, options.LowerBound.ToArray(), upper);
        }
    }

    public void Flush()
    {
        lock (_lock)
        {
            _flushesRequested++;
            if (_flushRunning || _disposed)
                return;
            _flushRunning = true;
        }

        _environment.Scheduler.Schedule(_flushJob, JobPriority.Flush);
    }

    public void WaitForFlush()
    {
        long wanted;
        lock (_lock)
            wanted = _flushesRequested;
        _flushDone.WaitUntil(() =>
        {
            lock (_lock)
                return _flushesDone >= wanted || BackgroundFailure is not null;
        });
        if (BackgroundFailure is { } failure)
            throw new WritesStoppedException($"a flush failed: {failure.Message}", failure);
    }

    public EngineCheckpoint BeginCheckpoint()
    {
        lock (_lock)
            return new ModelCheckpoint(_environment.Files, StableContentLocked());
    }

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        lock (_lock)
        {
            long bytes = 0;
            for (int i = LowerBound(start); i < _entries.Count && (end.IsEmpty || IsBefore(i, end)); i++)
                bytes += _entries[i].Key.Length + (_entries[i].VisibleAt(_lastSequence)?.Value?.Length ?? 0);
            return bytes;
        }
    }

    public EngineStatistics GetStatistics()
    {
        lock (_lock)
            return new EngineStatistics { EstimatedKeys = _entries.Count, UserBytesWritten = _userBytes };
    }

    public void RequestResume()
    {
        lock (_lock)
        {
            if (BackgroundFailure is null)
                return;
            BackgroundFailure = null;
        }

        Flush();
    }

    public bool TryResume()
    {
        if (BackgroundFailure is null)
            return true;
        RequestResume();
        try
        {
            WaitForFlush();
            return true;
        }
        catch (WritesStoppedException)
        {
            return false;
        }
    }

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows)
    {
        lock (_lock)
        {
            Check.That(_stagedSequence == _stableSequence, "the model ingests only when everything is stable");
            byte[]? first = null;
            byte[]? last = null;
            foreach ((ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value) in rows)
            {
                byte[] current = key.ToArray();
                Check.That(last is null || last.AsSpan().SequenceCompareTo(current) < 0, "ingested keys must ascend");
                first ??= current;
                last = current;
                int index = IndexOf(current);
                Check.That(index < 0 || !_entries[index].Versions[^1].LivesAt(NowMs), "an ingested key is there already");
                AddVersionLocked(current, new ModelVersion(++_stagedSequence, value.ToArray(), ExpiresAtMs: 0));
            }

            _lastSequence = _stableSequence = _stagedSequence;
        }

        WriteFile();
    }

    public void Compact(CancellationToken cancellation = default) => CompactRange([], [], cancellation);

    public void CompactRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, CancellationToken cancellation = default)
    {
        Flush();
        WaitForFlush();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        // A job of this engine may still be queued or running: the files must be quiet when the owner unlocks the folder.
        _flushDone.WaitUntil(() =>
        {
            lock (_lock)
                return !_flushRunning;
        });
    }

    internal void ReleaseView(ModelView view)
    {
        lock (_lock)
            Check.That(_views.Remove(view), "a view was disposed twice");
    }

    /// <summary>The first live key at or after (or, going back, the last at or before) a key; null when there is none.</summary>
    internal ModelRow? Find(byte[]? key, bool inclusive, bool forward, ModelView view, long nowMs, byte[] lower, byte[]? upper)
    {
        lock (_lock)
        {
            int i;
            if (forward)
            {
                i = key is null ? 0 : LowerBound(key);
                if (key is not null && !inclusive && i < _entries.Count && _entries[i].Key.AsSpan().SequenceEqual(key))
                    i++;
                i = Math.Max(i, LowerBound(lower));
            }
            else
            {
                i = key is null ? _entries.Count - 1 : LowerBound(key);
                if (key is not null && (i == _entries.Count || !inclusive || !_entries[i].Key.AsSpan().SequenceEqual(key)))
                    i--;
                if (upper is not null)
                    i = Math.Min(i, LowerBound(upper) - 1);
            }

            for (; i >= 0 && i < _entries.Count; i += forward ? 1 : -1)
            {
                ModelEntry entry = _entries[i];
                if (forward ? upper is not null && !IsBefore(i, upper) : IsBefore(i, lower))
                    return null;
                if (entry.VisibleAt(view.Sequence) is { } version && version.LivesAt(nowMs))
                    return new ModelRow(entry.Key, version);
            }

            return null;
        }
    }

    private long NowMs => _environment.Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    private ulong SequenceOf(in ReadView view) => view.Kind switch
    {
        ReadViewKind.Published => _lastSequence,
        ReadViewKind.Applied => _stagedSequence,
        ReadViewKind.Stable => _stableSequence,
        _ => ((ModelSnapshot)view.Snapshot!).View.Sequence,
    };

    private ModelView AddViewLocked(ulong sequence)
    {
        var view = new ModelView { Sequence = sequence };
        _views.Add(view);
        return view;
    }

    private void AddVersionLocked(ReadOnlySpan<byte> key, in ModelVersion version)
    {
        int index = IndexOf(key);
        if (index >= 0)
        {
            _entries[index].Versions.Add(version);
            PruneLocked(index);
            return;
        }

        _entries.Insert(~index, new ModelEntry(key.ToArray(), version));
    }

    private void DeleteRangeLocked(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, ulong sequence)
    {
        int i = LowerBound(start);
        while (i < _entries.Count && (end.IsEmpty || IsBefore(i, end)))
        {
            _entries[i].Versions.Add(new ModelVersion(sequence, Value: null, ExpiresAtMs: 0));
            if (!PruneLocked(i))
                i++;
        }
    }

    /// <summary>Drops the versions that no view can see; true when that removed the whole entry.</summary>
    private bool PruneLocked(int index)
    {
        ulong needed = _stableSequence;
        foreach (ModelView view in _views)
            needed = Math.Min(needed, view.Sequence);
        List<ModelVersion> versions = _entries[index].Versions;
        int newestVisible = versions.FindLastIndex(version => version.Sequence <= needed);
        if (newestVisible > 0)
            versions.RemoveRange(0, newestVisible);
        if (versions.Count != 1 || versions[0].Value is not null || versions[0].Sequence > needed)
            return false;
        _entries.RemoveAt(index);
        return true;
    }

    private int IndexOf(ReadOnlySpan<byte> key)
    {
        int index = LowerBound(key);
        return index < _entries.Count && _entries[index].Key.AsSpan().SequenceEqual(key) ? index : ~index;
    }

    private bool IsBefore(int index, ReadOnlySpan<byte> key) => _entries[index].Key.AsSpan().SequenceCompareTo(key) < 0;

    /// <summary>Index of the first entry at or after <paramref name="key"/>.</summary>
    private int LowerBound(ReadOnlySpan<byte> key)
    {
        int low = 0;
        int high = _entries.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (IsBefore(middle, key))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private void RunFlush()
    {
        while (true)
        {
            long requested;
            lock (_lock)
            {
                requested = _flushesRequested;
                if (_flushesDone == requested || BackgroundFailure is not null)
                {
                    _flushRunning = false;
                    break;
                }
            }

            Exception? failure = null;
            try
            {
                WriteFile();
            }
            catch (StorageException exception)
            {
                failure = exception;
            }

            lock (_lock)
            {
                BackgroundFailure = failure;
                if (failure is null)
                    _flushesDone = requested;
            }

            _flushDone.Pulse();
        }

        _flushDone.Pulse();
    }

    private void WriteFile()
    {
        ModelFileContent content;
        lock (_lock)
            content = StableContentLocked();
        _file.Save(content);
        lock (_lock)
        {
            _flushed = content.Position;
            _publications.RemoveAll(publication => publication.Position <= content.Position);
        }
    }

    private ModelFileContent StableContentLocked()
    {
        List<ModelRow> rows = [];
        LogPosition position = _flushed;
        foreach (Publication publication in _publications)
        {
            if (publication.LastSequence <= _stableSequence)
                position = publication.Position;
        }

        foreach (ModelEntry entry in _entries)
        {
            if (entry.VisibleAt(_stableSequence) is { Value: not null } version)
                rows.Add(new ModelRow(entry.Key, version));
        }

        return new ModelFileContent(position, _stableSequence, rows);
    }

    private readonly record struct Publication(LogPosition Position, ulong LastSequence);

    private sealed class ModelCheckpoint(IFileSystem files, ModelFileContent content) : EngineCheckpoint
    {
        public override void WhenInFiles(Action then) => then();

        public override void WriteTo(string folder, CancellationToken cancellation = default)
        {
            files.CreateFolder(folder);
            new ModelFile(files, folder).Save(content);
        }

        public override void Dispose()
        {
        }
    }

    private sealed class FlushJob(ModelEngine engine) : IBackgroundJob
    {
        public string Name => "model flush";

        public void Run() => engine.RunFlush();
    }
}

/// <summary>Makes <see cref="ModelEngine"/>s.</summary>
public sealed class ModelEngineFactory : IEngineFactory
{
    /// <summary>Keyspaces may ask only for names that they know.</summary>
    public string Name { get; init; } = "model";

    /// <summary>For tests of what is refused: what real engines do not take is large.</summary>
    public int ValueBytesMax { get; init; } = int.MaxValue;

    public IStorageEngine Open(string folder, EngineEnvironment environment) => new ModelEngine(folder, environment) { ValueBytesMax = ValueBytesMax };

    public EngineLimits LimitsIn(MemoryBudget memory) => EngineLimits.None with { ValueBytesMax = ValueBytesMax };

    public string? FindMissing(IFileSystem files, string folder) => files.FolderExists(folder) ? null : folder;

    public LogPosition ReadFlushedPosition(IFileSystem files, string folder) =>
        files.FolderExists(folder) ? new ModelFile(files, folder).Load().Position : LogPosition.Zero;
}
