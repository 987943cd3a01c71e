using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;

namespace Kvasir.Raft;

/// <summary>
/// What a member does with the messages of its leader. It acknowledges an entry when the entry is durable and known
/// to be the leader's: one acknowledgement stands for all before it, so there is at most one to send at any time.
/// </summary>
internal sealed class Following(MemberCore core)
{
    private LogIndex _verified = core.Commit;
    private LogIndex _acknowledged;
    private bool _owesAcknowledgement;
    private ulong _newestRound;
    private ulong _plainRound;
    private Freshness _freshness = new(core.Random.NextUInt64());

    public ref Freshness Freshness => ref _freshness;

    /// <summary>
    /// A vote asked for on behalf of a leader that hands over in this term is void once the leader is known to have gone
    /// on: its later heartbeats, those of a round above the hand-over's, renew its lease.
    /// </summary>
    public bool HonoursHandover(ulong round) => round >= _plainRound;

    public void ForgetTerm()
    {
        _verified = core.Commit;
        _acknowledged = LogIndex.Zero;
        _owesAcknowledgement = false;
        _newestRound = _plainRound = 0;
    }

    public StepOutcome OnAppend(in RaftMessage message)
    {
        core.FollowLeader(message.From);
        Check.That(message.LastIndex >= message.Index && message.EntryTerm <= message.Term);
        Check.That(message.Configuration is null || message.LastIndex == message.Index.Next);
        LogIndex previous = message.Index;
        if (previous < core.Commit)
        {
            // What is committed is equal in both logs: the message begins behind it.
            previous = core.Commit;
        }
        else if (!core.Log.TryTermAt(previous, out Term term) || term != message.LogTerm)
        {
            Refuse(message);
            return default;
        }

        StepOutcome outcome = message.LastIndex > previous ? Take(previous.Next, message) : default;
        _verified = LogIndex.Greatest(_verified, LogIndex.Greatest(message.LastIndex, previous));
        core.CommitTo(LogIndex.Least(message.Commit, _verified));
        _owesAcknowledgement = true;
        return outcome;
    }

    public void OnHeartbeat(in RaftMessage message)
    {
        core.FollowLeader(message.From);
        Check.That(message.Commit <= core.Log.LastIndex, $"this member acknowledged {message.Commit} and has only {core.Log.LastIndex}");
        core.CommitTo(message.Commit);
        bool isNewest = message.Round > _newestRound;
        _newestRound = Math.Max(_newestRound, message.Round);
        if ((message.Flags & MessageFlags.Transferring) == 0)
            _plainRound = Math.Max(_plainRound, message.Round);
        _freshness.Heard(message.Echo, message.LastIndex, core.Applied);

        bool quiesces = isNewest && (message.Flags & MessageFlags.Quiesce) != 0 && message.Commit == core.Log.LastIndex
            && core.Writes.SyncedIndex == core.Log.LastIndex && core.Writes.IsHardStateSynced;
        core.Send(new RaftMessage
        {
            Kind = MessageKind.HeartbeatResponse,
            To = message.From,
            Round = message.Round,
            SentAt = message.SentAt,
            Echo = _freshness.Answering(core.Now),
            Flags = (quiesces ? MessageFlags.Quiesce : MessageFlags.None) | (core.Retires || core.DiskStalled || core.LagsBehind ? MessageFlags.Declines : MessageFlags.None),
        });
        if (!quiesces)
            return;
        core.Quiesced = true;
        core.Clock.Stop();
    }

    public StepOutcome OnSnapshotOffer(in RaftMessage message)
    {
        core.FollowLeader(message.From);
        if (IsSnapshotNeeded(message.Index, message.LogTerm))
            return new StepOutcome { TakesSnapshot = true };
        _verified = LogIndex.Greatest(_verified, message.Index);
        _owesAcknowledgement = true;
        return default;
    }

    public bool TryInstall(LogIndex index, Term term, in ConfigurationEntry configuration)
    {
        if (core.Role == RaftRole.Leader || !IsSnapshotNeeded(index, term))
            return false;
        core.ResetToSnapshot(index, term, configuration);
        _verified = LogIndex.Greatest(_verified, index);
        _owesAcknowledgement = true;
        return true;
    }

    /// <summary>Acknowledges as far as the disk has come, when that is news or all there is.</summary>
    public void Acknowledge()
    {
        if (!_owesAcknowledgement || core.Leader.IsNone || core.Role != RaftRole.Follower)
            return;
        LogIndex durable = LogIndex.Least(core.Writes.SyncedIndex, _verified);
        if (durable < _verified && durable <= _acknowledged)
            return;
        _acknowledged = durable;
        _owesAcknowledgement = durable < _verified;
        core.Send(new RaftMessage { Kind = MessageKind.AppendResponse, To = core.Leader, Index = durable });
    }

    /// <summary>The leader is asked to say that it is alive, and is taken to be for as long as if it had been heard.</summary>
    public void RouseLeader()
    {
        core.Quiesced = false;
        core.Clock.LeaderHeard(core.Now, core.Random);
        core.Send(new RaftMessage { Kind = MessageKind.Wake, To = core.Leader });
    }

    private StepOutcome Take(LogIndex first, in RaftMessage message)
    {
        LogIndex conflict = core.Log.FirstOfAnotherTerm(first, LogIndex.Least(message.LastIndex, core.Log.LastIndex), message.EntryTerm);
        LogIndex truncated = LogIndex.Zero;
        if (conflict != LogIndex.Max)
        {
            Check.That(conflict > _verified, $"the leader of term {message.Term} overwrote its own entry {conflict}");
            core.Truncate(conflict);
            truncated = conflict;
        }

        first = core.Log.LastIndex.Next;
        if (message.LastIndex < first)
            return default;
        core.Log.Append(first, message.LastIndex, message.EntryTerm);
        if (message.Configuration is not null)
            core.Configurations.Append(new ConfigurationEntry(first, message.EntryTerm, message.Configuration));
        return new StepOutcome(truncated, first, message.LastIndex);
    }

    /// <summary>
    /// The leader's entry at the refused index has the term that it named, so wherever this log's term is higher, the two
    /// cannot meet: the hint skips those, a whole term at a step.
    /// </summary>
    private void Refuse(in RaftMessage message)
    {
        (LogIndex hint, Term term) = core.Log.LastNotAbove(message.Index, message.LogTerm);
        if (hint < core.Commit)
            (hint, term) = (core.Commit, core.Log.TermAt(core.Commit));
        core.Send(new RaftMessage
        {
            Kind = MessageKind.AppendResponse,
            Flags = MessageFlags.Reject,
            To = message.From,
            Index = message.Index,
            LastIndex = hint,
            LogTerm = term,
        });
    }

    /// <summary>False when the log has the snapshot's last entry: what it holds is committed, and there to be applied.</summary>
    private bool IsSnapshotNeeded(LogIndex index, Term term)
    {
        if (index <= core.Commit)
            return false;
        if (!core.Log.TryTermAt(index, out Term here) || here != term)
            return true;
        core.CommitTo(index);
        return false;
    }
}
