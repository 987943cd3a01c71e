using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Log;

/// <summary>
/// Knows what of a member's state has been handed to the disk, and what the disk has reported durable. Everything (term, vote,
/// entries, truncation, a snapshot's arrival) goes in one ordered stream of numbered writes, so that one number says it all,
/// and a late report can never be taken for a later write of the same index.
/// Invariants: synced &lt;= handed out &lt;= last index; what was truncated is not synced, whatever report comes late.
/// </summary>
internal sealed class WriteStream(LogIndex lastIndex)
{
    private PendingWrite[] _pending = [];
    private int _head;
    private int _count;
    private WriteNumber _last;
    private WriteNumber _hardWrite;
    private bool _hardDirty;
    private bool _reset;
    private LogIndex _truncateFrom;

    /// <summary>The last index that is in a write.</summary>
    public LogIndex HandedOut { get; private set; } = lastIndex;

    /// <summary>Entries up to here are durable, with the terms that the log has now.</summary>
    public LogIndex SyncedIndex { get; private set; } = lastIndex;

    public WriteNumber SyncedWrite { get; private set; }

    /// <summary>True when the term and the vote of this moment are durable.</summary>
    public bool IsHardStateSynced => !_hardDirty && _hardWrite <= SyncedWrite;

    /// <summary>When the oldest write that is not durable was handed out; false when all are.</summary>
    public bool TryOldestPending(out TimeSpan at)
    {
        at = _count == 0 ? default : _pending[_head].At;
        return _count > 0;
    }

    public void HardStateChanged() => _hardDirty = true;

    /// <summary>The log no longer has the entries from this index on.</summary>
    public void Truncated(LogIndex from)
    {
        if (from <= HandedOut)
        {
            _truncateFrom = _truncateFrom == LogIndex.Zero ? from : LogIndex.Least(_truncateFrom, from);
            HandedOut = from.Previous;
        }

        ClampTo(from.Previous);
    }

    /// <summary>The log starts anew behind a snapshot; nothing of it is durable before this write is.</summary>
    public void Reset(LogIndex snapshotIndex)
    {
        ClampTo(LogIndex.Zero);
        _truncateFrom = LogIndex.Zero;
        _reset = true;
        HandedOut = snapshotIndex;
    }

    public bool HasWork(LogIndex lastIndex) => _hardDirty || _reset || _truncateFrom > LogIndex.Zero || HandedOut < lastIndex;

    public PersistRequest Take(TimeSpan now, HardState hardState, TermLog log)
    {
        Check.That(HasWork(log.LastIndex) && HandedOut <= log.LastIndex);
        _last = new WriteNumber(_last.Value + 1);
        if (_hardDirty)
            _hardWrite = _last;
        var request = new PersistRequest
        {
            Write = _last,
            HardState = hardState,
            HardStateChanged = _hardDirty,
            ResetsLog = _reset,
            SnapshotIndex = _reset ? log.BaseIndex : LogIndex.Zero,
            SnapshotTerm = _reset ? log.BaseTerm : Term.Zero,
            TruncateFrom = _truncateFrom,
            First = HandedOut.Next,
            Last = log.LastIndex,
        };
        _hardDirty = _reset = false;
        _truncateFrom = LogIndex.Zero;
        HandedOut = log.LastIndex;
        Push(new PendingWrite(_last, HandedOut, now));
        return request;
    }

    /// <summary>All writes up to this one are durable; gives when the newest of them was handed out.</summary>
    public bool Synced(WriteNumber upTo, out TimeSpan handedOutAt)
    {
        Check.That(upTo <= _last, $"write {upTo} is reported durable and was never handed out, the last is {_last}");
        handedOutAt = default;
        if (upTo <= SyncedWrite)
            return false;
        while (_count > 0 && _pending[_head].Write <= upTo)
        {
            SyncedIndex = LogIndex.Greatest(SyncedIndex, _pending[_head].Index);
            handedOutAt = _pending[_head].At;
            _head = (_head + 1) & (_pending.Length - 1);
            _count--;
        }

        SyncedWrite = upTo;
        Check.That(SyncedIndex <= HandedOut);
        return true;
    }

    /// <summary>Gives memory back while nothing is on its way.</summary>
    public void Trim()
    {
        if (_count == 0)
            _pending = [];
    }

    private void ClampTo(LogIndex index)
    {
        SyncedIndex = LogIndex.Least(SyncedIndex, index);
        for (int i = 0; i < _count; i++)
        {
            ref PendingWrite write = ref _pending[(_head + i) & (_pending.Length - 1)];
            write = write with { Index = LogIndex.Least(write.Index, index) };
        }
    }

    private void Push(PendingWrite write)
    {
        if (_count == _pending.Length)
        {
            var larger = new PendingWrite[Math.Max(4, _count * 2)];
            for (int i = 0; i < _count; i++)
                larger[i] = _pending[(_head + i) & (_pending.Length - 1)];
            _pending = larger;
            _head = 0;
        }

        _pending[(_head + _count++) & (_pending.Length - 1)] = write;
    }

    private readonly record struct PendingWrite(WriteNumber Write, LogIndex Index, TimeSpan At);
}
