using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>The group as the log of its replica.</summary>
public sealed partial class RaftGroup
{
    /// <summary>Null only while this node leads the group and has applied an entry of its own term.</summary>
    public WriteRefusal? Refusal
    {
        get
        {
            if (_host.Refusal is { } refusal)
                return refusal;
            if (!_serves)
                return _notServing;
            if (_member.IsTransferring)
                return s_transferring;
            return IsBusy ? s_busy : null;
        }
    }

    public bool IsStopped => _host.Refusal is not null;

    public SessionTable Sessions { get; }

    /// <summary>Any thread.</summary>
    public LogPosition AppendedPosition => new(Volatile.Read(ref _appended));

    /// <summary>Any thread.</summary>
    public LogPosition AwaitedPosition => new(Volatile.Read(ref _awaited));

    /// <summary>Committed and applied up to here. Any thread.</summary>
    public LogPosition DurablePosition => new(Volatile.Read(ref _durable));

    // Half of what the member takes: commands of an item that has begun are not refused in the middle.
    private bool IsBusy =>
        _member.LastIndex - _member.CommitIndex >= (ulong)_host.Settings.UncommittedEntriesMax / 2
        || _entries.BytesBehind(_applied) >= UncommittedBytesMax
        || HasGap;

    // What the member appended itself and has not given yet; it is given at the end of the turn.
    private bool HasGap => _member.LastIndex.Next != _entries.Next;

    /// <summary>
    /// Proposes an entry. It leaves for the followers and for the journal at the end of the mailbox's item. Throws
    /// <see cref="WriteRefusedException"/> when it is refused: then it has not happened, and will not.
    /// </summary>
    public LogPosition Append(ReadOnlySpan<byte> payload, Durability durability)
    {
        WriteRefusal? refusal = _host.Refusal ?? (_serves ? HasGap ? s_busy : null : _notServing);
        if (refusal is null)
        {
            ProposeOutcome outcome = _member.Propose(_host.Now(), 1);
            if (outcome.IsAccepted)
                return Proposed(outcome, payload);
            refusal = outcome.Status == ProposeStatus.Transferring ? s_transferring : s_busy;
        }

        throw new WriteRefusedException($"{refusal.Code} {refusal.Message}");
    }

    /// <summary>
    /// Bytes of the entries behind <paramref name="index"/>, up to <paramref name="last"/>: of those in memory exactly, of those that are only
    /// in the journal about, and nothing of those that the log has let go of.
    /// </summary>
    internal long BytesBetween(LogIndex index, LogIndex last)
    {
        if (last <= index)
            return 0;
        long inMemory = _entries.BytesBehind(index) - _entries.BytesBehind(last);
        if (index.Next >= _entries.First)
            return inMemory;
        long older = _host.Journal.BytesFrom(Id, index.Next) - _host.Journal.BytesFrom(Id, LogIndex.Least(last.Next, _entries.First));
        return inMemory + Math.Max(older, 0);
    }

    private LogPosition Proposed(in ProposeOutcome outcome, ReadOnlySpan<byte> payload)
    {
        _entries.Add(outcome.First, outcome.Term, EntryKind.Normal, payload);
        Remember(outcome.First, payload);
        WantComparison(_host.LastNow);
        _host.Touch(this);
        Volatile.Write(ref _appended, outcome.First.Value);
        Volatile.Write(ref _awaited, outcome.First.Value);
        return new LogPosition(outcome.First.Value);
    }

    /// <summary>Takes in what an entry says of the writes in it: notes are its first parts.</summary>
    private void Remember(LogIndex index, ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty || payload[0] != EntryNotes.Stream)
            return;
        var reader = new JournalPayloadReader(payload);
        while (reader.MoveNext() && reader.StreamId == EntryNotes.Stream)
        {
            // Own ones are well-formed, and those from the log were looked at before they were applied.
            if (reader.Bytes[0] == WriteNote.Kind)
                Sessions.Add(new LogPosition(index.Value), reader.Bytes);
        }
    }
}
