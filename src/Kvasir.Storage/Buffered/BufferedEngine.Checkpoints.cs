using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Publishing;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// Checkpoints: the moment that one holds is a limit which flushes keep to until it is written, so that its tables are
/// exactly those of the moment, whatever is written meanwhile.
/// </summary>
internal sealed partial class BufferedEngine
{
    private readonly Lock _limitLock = new();

    // Under _limitLock. Moments of checkpoints under way, oldest first: what is stable only grows.
    private readonly List<StablePoint> _moments = [];

    public EngineCheckpoint BeginCheckpoint()
    {
        StablePoint moment;
        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            lock (_limitLock)
            {
                moment = _progress.Stable;
                _moments.Add(moment);
            }

            RequestFlushTo(moment.Sequence);
        }

        AfterFreeze();
        return new BufferedCheckpoint(this, moment);
    }

    /// <summary>How far flushes may go now.</summary>
    private StablePoint Limit
    {
        get
        {
            lock (_limitLock)
                return _moments.Count == 0 ? _progress.Stable : _moments[0];
        }
    }

    private void WaitUntilFlushed(ulong target, CancellationToken cancellation = default)
    {
        using CancellationTokenRegistration wakes = cancellation.Register(_background.Pulse);
        _background.WaitUntil(() => _disposed || cancellation.IsCancellationRequested || _background.FlushFailure is not null || !HoldsInMemory(target));
        cancellation.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_background.FlushFailure is { } failure)
            throw new WritesStoppedException($"the flush failed: {failure.Message}", failure);
    }

    private void EndCheckpoint(in StablePoint moment)
    {
        lock (_limitLock)
            _moments.Remove(moment);
        _background.RequestFlush();
    }

    private sealed class BufferedCheckpoint(BufferedEngine engine, StablePoint moment) : EngineCheckpoint
    {
        private bool _ended;

        public override void WhenInFiles(Action then) =>
            engine._background.WhenFlushed(() => engine._background.FlushFailure is not null || !engine.HoldsInMemory(moment.Sequence), then);

        public override void WriteTo(string folder, CancellationToken cancellation = default)
        {
            ObjectDisposedException.ThrowIf(_ended, this);
            engine.WaitUntilFlushed(moment.Sequence, cancellation);
            bool isOpen = engine._background.TryRun(_ => engine._tables.Checkpoint(folder, cancellation));
            ObjectDisposedException.ThrowIf(!isOpen, engine);
        }

        public override void Dispose()
        {
            if (_ended)
                return;
            _ended = true;
            engine.EndCheckpoint(moment);
        }
    }
}
