using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Clusters;

/// <summary>How a client wants to read.</summary>
internal enum ReadWay
{
    /// <summary>By a heartbeat round.</summary>
    Round,

    /// <summary>By the leader's lease, or by a round when it has none.</summary>
    Lease,

    /// <summary>As an entry of the log.</summary>
    Log,

    /// <summary>From whoever is asked, with a stated age.</summary>
    Stale,
}

internal sealed record RaftRequest(MachineCommand Command, ReadWay Way)
{
    public bool IsRead => Command.Kind == OperationKind.Read;
}

/// <summary>What a client is told. Who is told nothing knows nothing.</summary>
internal readonly record struct RaftReply(bool IsDone, HistoryValue Value, long? AgeNs, MemberId Leader)
{
    /// <summary>It was not done, and by this attempt never will be.</summary>
    public static RaftReply Refused(MemberId leader) => new(false, default, null, leader);

    public static RaftReply Done(HistoryValue value, long? ageNs = null) => new(true, value, ageNs, default);
}

internal sealed partial class SimulatedRaftNode
{
    private readonly Dictionary<ulong, List<(Term Term, Action<RaftReply> Reply)>> _proposed = [];
    private readonly List<WaitingRead> _tickets = [];
    private readonly List<WaitingRead> _reads = [];

    public void Ask(RaftRequest request, Action<RaftReply> reply) => Happen(now =>
    {
        if (!request.IsRead || request.Way == ReadWay.Log)
            Propose(now, request, reply);
        else if (request.Way == ReadWay.Stale)
            ReadStale(now, request, reply);
        else
            Read(now, request, reply);
    });

    private void Propose(TimeSpan now, RaftRequest request, Action<RaftReply> reply)
    {
        ProposeOutcome outcome = Raft.Propose(now, 1);
        if (!outcome.IsAccepted)
        {
            reply(RaftReply.Refused(outcome.Leader));
            return;
        }

        Keep(outcome.First, new SimulatedEntry(outcome.Term, EntryKind.Normal, request.Command.Encode(_writer), null));
        if (!_proposed.TryGetValue(outcome.First.Value, out List<(Term, Action<RaftReply>)>? waiting))
            _proposed[outcome.First.Value] = waiting = [];
        waiting.Add((outcome.Term, reply));
    }

    private void Answer(LogIndex index, Term term, HistoryValue answer)
    {
        if (!_proposed.Remove(index.Value, out List<(Term Term, Action<RaftReply> Reply)>? waiting))
            return;
        foreach ((Term proposedIn, Action<RaftReply> reply) in waiting)
        {
            if (proposedIn == term)
                _world.Invariants.Acknowledge(this, index);
            reply(proposedIn == term ? RaftReply.Done(answer) : RaftReply.Refused(Raft.Leader));
        }
    }

    private void Read(TimeSpan now, RaftRequest request, Action<RaftReply> reply)
    {
        LogIndex committed = _world.Invariants.Committed;
        if (request.Way == ReadWay.Lease && Raft.TryLeaseRead(now, out LogIndex index))
        {
            _world.Invariants.LeaseRead(this, index);
            _world.Coverage.Add("lease reads");
            _reads.Add(new WaitingRead(default, index, committed, request.Command.Key, reply));
            AnswerReads();
            return;
        }

        ReadTicket ticket = Raft.RequestRead(now);
        if (ticket.IsAccepted)
            _tickets.Add(new WaitingRead(ticket, default, committed, request.Command.Key, reply));
        else
            reply(RaftReply.Refused(Raft.Leader));
    }

    private void ReadStale(TimeSpan now, RaftRequest request, Action<RaftReply> reply)
    {
        if (!Raft.TryAge(now, out TimeSpan age))
        {
            reply(RaftReply.Refused(Raft.Leader));
            return;
        }

        // By its own clock, which may run slow: in true time it is that much older, by the bound on drift.
        TimeSpan trueAge = TimeSpan.FromTicks((long)(age.Ticks / (1 - _world.Settings.ClockDriftMax)) + 1);
        _world.Invariants.AgedRead(this, _world.Events.Now - trueAge);
        _world.Coverage.Add("stale reads");
        reply(RaftReply.Done(_machine.Read(request.Command.Key), trueAge.Ticks * 100));
    }

    private void TakeReads()
    {
        if (_ready.Reads is not { } ready)
            return;
        foreach (WaitingRead read in _tickets)
        {
            if (read.Ticket.Term != ready.Term || read.Ticket.Batch > ready.Batch)
                continue;
            _world.Invariants.RoundRead(this, ready.Index, read.Committed);
            _world.Coverage.Add("round reads");
            _reads.Add(read with { Index = ready.Index });
        }

        _tickets.RemoveAll(r => r.Ticket.Term == ready.Term && r.Ticket.Batch <= ready.Batch);
        AnswerReads();
    }

    private void AnswerReads()
    {
        for (int i = 0; i < _reads.Count; i++)
        {
            if (_reads[i].Index > Raft.AppliedIndex)
                continue;
            WaitingRead read = _reads[i];
            _reads.RemoveAt(i--);
            read.Reply(RaftReply.Done(_machine.Read(read.Key)));
        }
    }

    /// <summary>Tickets of a term that is over will not be served.</summary>
    private void DropTickets()
    {
        foreach (WaitingRead read in _tickets)
        {
            if (read.Ticket.Term != _ready.Term || _ready.Role != RaftRole.Leader)
                read.Reply(RaftReply.Refused(_ready.Leader));
        }

        _tickets.RemoveAll(r => r.Ticket.Term != _ready.Term || _ready.Role != RaftRole.Leader);
    }

    private void DropClients()
    {
        _proposed.Clear();
        _tickets.Clear();
        _reads.Clear();
    }

    private sealed record WaitingRead(ReadTicket Ticket, LogIndex Index, LogIndex Committed, string Key, Action<RaftReply> Reply);
}
