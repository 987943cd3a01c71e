using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>Gives each engine every journaled write that its files do not hold yet, in order.</summary>
internal sealed class JournalReplay
{
    private readonly Replica[] _replicas;
    private readonly IScheduler _scheduler;
    private readonly LogPosition[] _flushed;

    public JournalReplay(Replica[] replicas, IScheduler scheduler)
    {
        _replicas = replicas;
        _scheduler = scheduler;
        _flushed = [.. replicas.Select(r => r.Engine.FlushedPosition)];
        FlushedMax = _flushed.Max();
    }

    /// <summary>New positions must lie behind everything that any engine's files hold.</summary>
    public LogPosition FlushedMax { get; }

    public void Apply(LogPosition position, ReadOnlySpan<byte> payload)
    {
        JournalPayloadReader reader = new(payload);
        while (reader.MoveNext())
        {
            if (reader.StreamId >= _replicas.Length)
            {
                throw new StorageException(
                    $"the journal has writes of keyspace number {reader.StreamId}, which is not configured; start with as many databases as before");
            }

            int index = (int)reader.StreamId;
            if (position <= _flushed[index])
                continue;
            IStorageEngine engine = _replicas[index].Engine;
            TimeSpan delay = engine.SuggestWriteDelay(reader.Bytes.Length);
            if (delay > TimeSpan.Zero)
                _scheduler.Pause(delay);
            engine.MarkStable(position);
            engine.Stage(reader.Bytes);
            engine.Publish(position);
        }

        if (reader.Malformed)
            throw new StorageException($"the journal record at position {position} has a valid checksum and no sense: it was written by something else");
    }
}
