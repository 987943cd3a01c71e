using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// In the place of the engine of a replica that is stopped at the start: its files are left alone, whatever is wrong with them. Nobody
/// reads or writes it, and who tries is told so.
/// </summary>
internal sealed class UnopenedEngine(string reason) : IStorageEngine
{
    public LogPosition PublishedPosition => LogPosition.Zero;

    public LogPosition FlushedPosition => LogPosition.Zero;

    public LogPosition? OldestUnflushedPosition => null;

    public SequenceNumber LastSequence => default;

    public SequenceNumber StableSequence => default;

    public Exception? BackgroundFailure => null;

    public void Stage(ReadOnlySpan<byte> batch) => throw Closed();

    public void Publish(LogPosition position, bool awaited = true) => throw Closed();

    public void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches) => throw Closed();

    public void MarkStable(LogPosition position)
    {
    }

    public void DiscardAfter(LogPosition position)
    {
    }

    public TimeSpan SuggestWriteDelay(int bytes) => TimeSpan.Zero;

    public EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value) => throw Closed();

    public EngineSnapshot CreateSnapshot() => throw Closed();

    public void Flush()
    {
    }

    public void WaitForFlush()
    {
    }

    public EngineCheckpoint BeginCheckpoint() => throw Closed();

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => 0;

    public EngineStatistics GetStatistics() => new();

    public bool TryResume() => true;

    public void RequestResume()
    {
    }

    public EngineScan CreateScan(in IteratorOptions options) => throw Closed();

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows) => throw Closed();

    public void Compact(CancellationToken cancellation = default)
    {
    }

    public void Dispose()
    {
    }

    private CorruptionException Closed() => new(reason);
}
