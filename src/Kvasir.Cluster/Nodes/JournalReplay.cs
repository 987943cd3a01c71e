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
    private readonly Dictionary<uint, (Replica Replica, LogPosition Flushed)> _replicas;
    private readonly KeyspaceTable _table;
    private readonly IScheduler _scheduler;

    public JournalReplay(IReadOnlyList<Replica> replicas, KeyspaceTable table, IScheduler scheduler)
    {
        _replicas = replicas.ToDictionary(static r => r.StreamId, static r => (r, r.Engine.FlushedPosition));
        _table = table;
        _scheduler = scheduler;
        FlushedMax = _replicas.Values.Max(static r => r.Flushed);
    }

    /// <summary>New positions must lie behind everything that any engine's files hold.</summary>
    public LogPosition FlushedMax { get; }

    public void Apply(LogPosition position, ReadOnlySpan<byte> payload)
    {
        JournalPayloadReader reader = new(payload);
        while (reader.MoveNext())
        {
            if (!_replicas.TryGetValue(reader.StreamId, out (Replica Replica, LogPosition Flushed) found))
            {
                if (_table.WasDropped(reader.StreamId))
                    continue;
                throw new StorageException(KeyspaceTable.IsNamed(reader.StreamId)
                    ? $"the journal has writes of keyspace number {reader.StreamId}, of which {KeyspaceTableFile.Name} does not know: it is an older copy"
                    : $"the journal has writes of keyspace number {reader.StreamId}, which is not configured; start with as many databases as before");
            }

            if (position <= found.Flushed)
                continue;
            IStorageEngine engine = found.Replica.Engine;
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
