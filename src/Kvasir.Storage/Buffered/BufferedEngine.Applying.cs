using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered;

/// <summary>What comes from a log, many batches at once.</summary>
internal sealed unsafe partial class BufferedEngine
{
    public void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches)
    {
        bool frozen;
        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ThrowIfWritesStopped();
            Check.That(!_progress.HasStaged, "batches of a log behind what is staged");
            StageLogged(payloads, batches);
            if (_progress is not { HasStaged: true, StagedLast: { } last })
                return;
            frozen = PublishStaged(last, awaited: true);
        }

        AfterPublishing(frozen);
    }

    /// <summary>Their first keys are looked up together, as those of one large batch would be: most have no other.</summary>
    private void StageLogged(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches)
    {
        Span<ulong> hashes = stackalloc ulong[StagedTogether];
        Span<nint> nodes = stackalloc nint[StagedTogether];
        for (int next = 0; next < batches.Length;)
        {
            int count = Math.Min(StagedTogether, batches.Length - next);
            for (int i = 0; i < count; i++)
                hashes[i] = new BatchReader(BytesOf(payloads, batches[next + i])) is var first && first.MoveNext() ? StableHash.Hash64(first.Key) : 0;
            _active.PrefetchSlots(hashes[..count]);
            nodes.Clear();
            _active.PrefetchNodes(hashes[..count], nodes);
            for (int i = 0; i < count; i++, next++)
                StageLogged(BytesOf(payloads, batches[next]), batches[next].Position, hashes[i]);
        }
    }

    private void StageLogged(ReadOnlySpan<byte> batch, LogPosition position, ulong firstHash)
    {
        var reader = new BatchReader(batch);
        if (reader.MoveNext())
        {
            _progress.StageEntry(position);
            StageOne(reader, firstHash);
            if (!reader.IsAtEnd)
                StageRest(ref reader);
        }

        Check.That(!reader.Malformed, "a batch in the log that makes no sense");
        _userBytesWritten += batch.Length;
        _writes.Charge(batch.Length);
    }

    private static ReadOnlySpan<byte> BytesOf(ReadOnlySpan<byte> payloads, in LoggedBatch batch) => payloads.Slice(batch.Start, batch.Length);
}
