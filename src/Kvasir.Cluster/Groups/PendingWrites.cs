using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// The journal records that are not durable yet, and whose writes are in each. They become durable in their order.
/// Inside the mailbox; allocates nothing once it is as large as it gets.
/// </summary>
internal sealed class PendingWrites
{
    private readonly Queue<PendingRecord> _records = new();
    private readonly Queue<GroupWrite> _writes = new();
    private int _gathered;

    public bool IsEmpty => _records.Count == 0;

    /// <summary>There are writes for the next record.</summary>
    public bool HasGathered => _gathered > 0;

    /// <summary>When the oldest of them was handed to the journal.</summary>
    public TimeSpan OldestAt => _records.Peek().At;

    /// <summary>A write that will be in the next record.</summary>
    public void Gather(RaftGroup group, WriteNumber write)
    {
        _writes.Enqueue(new GroupWrite(group, write));
        _gathered++;
    }

    /// <summary>What was gathered is in this record.</summary>
    public void Written(LogPosition position, TimeSpan at)
    {
        _records.Enqueue(new PendingRecord(position, at, _gathered));
        _gathered = 0;
    }

    /// <summary>All that was in any record before is in this one, too, or in those before it that are durable first.</summary>
    public void WrittenAgain(LogPosition position, TimeSpan at)
    {
        _records.Clear();
        _records.Enqueue(new PendingRecord(position, at, _writes.Count - _gathered));
    }

    /// <summary>Takes out the oldest record if it lies within this; gives how many writes it has.</summary>
    public bool TryTake(LogPosition durable, out TimeSpan at, out int writes)
    {
        if (_records.TryPeek(out PendingRecord record) && record.Position <= durable)
        {
            _records.Dequeue();
            (at, writes) = (record.At, record.Writes);
            return true;
        }

        (at, writes) = (default, 0);
        return false;
    }

    /// <summary>The next write of the record that was taken out.</summary>
    public GroupWrite TakeWrite() => _writes.Dequeue();

    internal readonly record struct GroupWrite(RaftGroup Group, WriteNumber Write);

    private readonly record struct PendingRecord(LogPosition Position, TimeSpan At, int Writes);
}
