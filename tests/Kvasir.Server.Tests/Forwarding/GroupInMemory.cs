using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>
/// A shard whose nodes share one engine, so that a lead can move without replication; what is appended is committed when the
/// test says so, or at once.
/// </summary>
internal sealed class GroupInMemory(GroupId id, int database, IStorageEngine engine) : IReplicaLog
{
    private ulong _batch = 1;
    private ulong _appended;
    private ulong _durable;

    public GroupId Id { get; } = id;

    public int Database { get; } = database;

    public IStorageEngine Engine { get; } = engine;

    public NodeId Leader { get; set; }

    public ulong Term { get; set; } = 1;

    /// <summary>Its leader may not answer for the moment.</summary>
    public bool LacksLease { get; set; }

    /// <summary>Commits when the node's log is asked to.</summary>
    public bool CommitsAtOnce { get; set; } = true;

    public int Records { get; private set; }

    /// <summary>It has as much under way as it may.</summary>
    public bool IsBusy { get; set; }

    /// <summary>Comes up between the look at <see cref="Refusal"/> and the write.</summary>
    public WriteRefusal? LateRefusal { get; set; }

    public WriteRefusal? Refusal => Leader.IsNone || IsBusy ? new WriteRefusal("TRYAGAIN", "not now") : null;

    public bool IsStopped => false;

    public SessionTable Sessions { get; } = new(LogPosition.Zero);

    public LogPosition AppendedPosition => new(_appended);

    public LogPosition AwaitedPosition => new(_appended);

    public LogPosition DurablePosition => new(_durable);

    /// <summary>Keys in the engine, expired ones too.</summary>
    public int CountStored()
    {
        int count = 0;
        using EngineScan iterator = Engine.CreateScan(new IteratorOptions { KeysOnly = true, IncludeExpired = true });
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            count++;
        return count;
    }

    public LogPosition Append(ReadOnlySpan<byte> payload, Durability durability)
    {
        if (LateRefusal is { } refusal)
            throw new WriteRefusedException($"{refusal.Code} {refusal.Message}");
        Records++;
        LogPosition position = new(++_appended);
        var reader = new JournalPayloadReader(payload);
        while (reader.MoveNext() && reader.StreamId == WriteNote.Stream)
            Sessions.Add(position, reader.Bytes);
        return position;
    }

    /// <summary>For a read that comes now.</summary>
    public ReadClaim Claim() => new(Id, new ReadTicket(new Term(Term), _batch));

    /// <summary>Reads that were claimed until now may be answered.</summary>
    public void ConfirmReads() => _batch++;

    public bool IsConfirmed(ReadClaim claim) => claim.Group == Id && claim.Ticket.Term.Value == Term && claim.Ticket.Batch < _batch;

    /// <summary>A majority has all of it.</summary>
    public bool TryCommit()
    {
        if (_durable == _appended)
            return false;
        _durable = _appended;
        Engine.MarkStable(new LogPosition(_durable));
        return true;
    }

    /// <summary>The lead ends; what was not committed may come to be.</summary>
    public void Doubt()
    {
        Leader = NodeId.None;
        Term++;
    }

    /// <summary>The lead ends; what was not committed is lost.</summary>
    public LogPosition Depose()
    {
        Leader = NodeId.None;
        Term++;
        Engine.DiscardAfter(new LogPosition(_durable));
        _appended = _durable;
        Sessions.TruncateAfter(new LogPosition(_durable));
        return new LogPosition(_durable);
    }
}
