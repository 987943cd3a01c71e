using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// Passes everything to another engine, and lets a test do something right after the engine said what it has unflushed, or
/// right before it publishes or hears what is stable: what another thread may do there at any time.
/// </summary>
internal sealed class HookedEngine(IOrderedEngine inner, HookedEngineFactory factory) : IOrderedEngine
{
    public LogPosition PublishedPosition => inner.PublishedPosition;

    public LogPosition FlushedPosition => inner.FlushedPosition;

    public LogPosition? OldestUnflushedPosition
    {
        get
        {
            LogPosition? oldest = inner.OldestUnflushedPosition;
            Action? then = factory.AfterOldestUnflushed;
            factory.AfterOldestUnflushed = null;
            then?.Invoke();
            return oldest;
        }
    }

    public SequenceNumber LastSequence => inner.LastSequence;

    public SequenceNumber StableSequence => inner.StableSequence;

    public Exception? BackgroundFailure => inner.BackgroundFailure;

    public void Stage(ReadOnlySpan<byte> batch)
    {
        inner.Stage(batch);
        byte[]? extra = factory.StagedBeside;
        factory.StagedBeside = null;
        if (extra is not null)
            inner.Stage(extra);
    }

    public void Publish(LogPosition position, bool awaited = true)
    {
        RunHook();
        inner.Publish(position, awaited);
    }

    public void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches)
    {
        RunHook();
        inner.Apply(payloads, batches);
    }

    private void RunHook()
    {
        Action? before = factory.BeforePublish;
        factory.BeforePublish = null;
        before?.Invoke();
    }

    public StateDigest PublishedDigest => inner.PublishedDigest;

    public StateDigest StableDigest => inner.StableDigest;

    public void AssumeDigest(StateDigest digest) => inner.AssumeDigest(digest);

    public void MarkStable(LogPosition position)
    {
        Action? before = factory.BeforeMarkStable;
        factory.BeforeMarkStable = null;
        before?.Invoke();
        inner.MarkStable(position);
    }

    public void DiscardAfter(LogPosition position) => inner.DiscardAfter(position);

    public TimeSpan SuggestWriteDelay(int bytes) => factory.WriteDelay ?? inner.SuggestWriteDelay(bytes);

    public EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value) => inner.Get(key, view, value);

    public EngineSnapshot CreateSnapshot() => inner.CreateSnapshot();

    public EngineScan CreateScan(in IteratorOptions options) => inner.CreateScan(options);

    public EngineIterator CreateIterator(in IteratorOptions options) => inner.CreateIterator(options);

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows) => inner.Ingest(rows);

    public void Compact(CancellationToken cancellation = default) => inner.Compact(cancellation);

    public void CompactRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, CancellationToken cancellation = default) =>
        inner.CompactRange(start, end, cancellation);

    public void Flush() => inner.Flush();

    public void WaitForFlush() => inner.WaitForFlush();

    public EngineCheckpoint BeginCheckpoint() => inner.BeginCheckpoint();

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => inner.EstimateSize(start, end);

    public EngineStatistics GetStatistics() => inner.GetStatistics();

    public bool TryResume() => inner.TryResume();

    public void RequestResume() => inner.RequestResume();

    public void Dispose() => inner.Dispose();
}

internal sealed class HookedEngineFactory(IEngineFactory inner) : IEngineFactory
{
    public Action? AfterOldestUnflushed { get; set; }

    public Action? BeforePublish { get; set; }

    public Action? BeforeMarkStable { get; set; }

    /// <summary>A batch that nobody asked for, which goes along with the next one.</summary>
    public byte[]? StagedBeside { get; set; }

    /// <summary>Writers shall wait so long, whoever asks; null: as the engine says.</summary>
    public TimeSpan? WriteDelay { get; set; }

    public string Name => inner.Name;

    public IStorageEngine Open(string folder, EngineEnvironment environment) =>
        new HookedEngine((IOrderedEngine)inner.Open(folder, environment), this);

    public string? FindMissing(IFileSystem files, string folder) => inner.FindMissing(files, folder);

    public LogPosition ReadFlushedPosition(IFileSystem files, string folder) => inner.ReadFlushedPosition(files, folder);
}
