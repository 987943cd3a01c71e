using Kvasir.Primitives;
using Kvasir.Raft.Elections;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft;

/// <summary>
/// The state that all roles share, and the transitions between roles. Invariants, checked where they could break:
/// base &lt;= applied &lt;= commit &lt;= last; term, commit and applied never fall; one vote a term; one leader a term.
/// </summary>
internal sealed class MemberCore
{
    // After the leader was seen to die: attempts that are repeated soon, before patience is as long as ever.
    private const int HastyAttempts = 4;

    private ElectionClock _clock;
    private int _hasty;
    private List<OwnEntry>? _ownEntries;

    public MemberCore(RaftSettings settings, RaftRecovery recovery, IEntrySizes sizes, SeededRandom random, TimeSpan now)
    {
        Check.That(!recovery.Id.IsNone);
        Settings = settings;
        Id = recovery.Id;
        Sizes = sizes;
        Random = random;
        Now = now;
        Log = new TermLog(recovery.SnapshotIndex, recovery.SnapshotTerm, [.. recovery.Terms], recovery.LastIndex);
        Configurations = new ConfigurationHistory([.. recovery.Configurations]);
        Writes = new WriteStream(recovery.LastIndex);
        Term = recovery.HardState.Term;
        Vote = recovery.HardState.Vote;
        Commit = Applied = recovery.AppliedIndex;
        Check.That(Applied >= Log.BaseIndex && Applied <= Log.LastIndex, $"applied {Applied} is outside of {Log.BaseIndex} to {Log.LastIndex}");
        Check.That(Term >= Log.LastTerm, $"the log has term {Log.LastTerm}, the member {Term}");
        Check.That(Configurations.Last.Index <= Log.LastIndex);

        // Who has never been in a term has promised nothing. Nor has a sole voter that voted for itself in a term newer than
        // the configuration that makes it one: nobody else can have led that term, and every older lease needed it.
        bool owesFaith = Term > Term.Zero && !(Configurations.Current.IsSoleVoter(Id) && Vote == Id && Configurations.Last.Term < Term);
        _clock = new ElectionClock(settings.ElectionTimeout, owesFaith ? now + settings.ElectionTimeout : TimeSpan.MinValue);
        if (Configurations.Current.IsSoleVoter(Id) && !owesFaith)
            _clock.Expire(now);
        else if (owesFaith)
            _clock.Restart(now, random);
        else
            _clock.Hasten(now, random);
        Following = new Following(this);
    }

    public RaftSettings Settings { get; }

    public MemberId Id { get; }

    public IEntrySizes Sizes { get; }

    public SeededRandom Random { get; }

    public TermLog Log { get; }

    public WriteStream Writes { get; }

    public ConfigurationHistory Configurations { get; }

    public Configuration Configuration => Configurations.Current;

    public Outbox Outbox { get; } = new();

    public Following Following { get; }

    /// <summary>Set in the role of a leader, and only then.</summary>
    public Leadership? Leadership { get; private set; }

    /// <summary>Set in the roles of a candidate and a pre-candidate, and only then.</summary>
    public VoteTally? Tally { get; private set; }

    public TimeSpan Now { get; private set; }

    public Term Term { get; private set; }

    public MemberId Vote { get; private set; }

    public RaftRole Role { get; private set; }

    public MemberId Leader { get; private set; }

    public LogIndex Commit { get; private set; }

    public LogIndex Applied { get; private set; }

    /// <summary>When the newest disk operation that succeeded had begun.</summary>
    public TimeSpan DiskSyncedAt { get; private set; } = TimeSpan.MinValue;

    /// <summary>The disk hangs: no campaign before it shows a sign of life.</summary>
    public bool DiskStalled { get; set; }

    /// <summary>
    /// So much is known to be committed, and not applied, that this member had better not lead. Applying it needs no leader, so this
    /// ends by itself, whoever else is alive.
    /// </summary>
    public bool LagsBehind => Commit - Applied > (ulong)Settings.ApplyLagMax;

    public bool Quiesced { get; set; }

    /// <summary>The node is about to stop: this member leads nothing any more.</summary>
    public bool Retires { get; set; }

    public bool RoleChanged { get; set; }

    public bool CommitAdvanced { get; set; }

    public ReadReady? ReadsConfirmed { get; set; }

    public ref ElectionClock Clock => ref _clock;

    /// <summary>
    /// Voters campaign, and so do those whose removal is not known to be committed: their log may be the only one that
    /// the remaining voters can be brought up from (thesis, 4.2.2). Their own vote does not count.
    /// </summary>
    public bool MayCampaign => !Retires && Configurations.IsVoterFrom(Commit, Id);

    public void Advance(TimeSpan now)
    {
        Check.That(now >= Now, $"time ran backwards, from {Now} to {now}");
        Now = now;
    }

    public void Send(RaftMessage message)
    {
        Check.That(!message.To.IsNone && message.To != Id);
        message.From = Id;
        if (message.Term == Term.Zero)
            message.Term = Term;
        Outbox.Add(message, !message.PromisesNothing && !Writes.IsHardStateSynced);
    }

    public void BecomeFollower(Term term, MemberId leader)
    {
        Check.That(term >= Term);
        if (term > Term)
            EnterTerm(term, MemberId.None);
        SetRole(RaftRole.Follower, leader, null, null);
        _clock.Restart(Now, Random);
    }

    public void FollowLeader(MemberId leader)
    {
        Check.That(Role != RaftRole.Leader, $"{leader} and this member {Id} both lead term {Term}");
        Check.That(Leader.IsNone || Leader == leader, $"{leader} and {Leader} both lead term {Term}");
        if (Role != RaftRole.Follower || Leader != leader)
            SetRole(RaftRole.Follower, leader, null, null);
        Quiesced = false;
        EndSuccession();
        _clock.LeaderHeard(Now, Random);
    }

    /// <summary>
    /// The leader was seen to die. Who takes its place is decided soonest when the others try one after another: each waits for
    /// those before it, in an order that changes with the term, so that not all groups go to one member.
    /// </summary>
    public void Succeed(MemberId dead)
    {
        ReadOnlySpan<MemberId> voters = Configuration.Voters;
        int at = voters.IndexOf(Id);
        if (at < 0)
            return;
        int first = (int)(Term.Value % (ulong)voters.Length);
        int rank = 0;
        for (int i = first; i != at; i = (i + 1) % voters.Length)
            rank += voters[i] == dead ? 0 : 1;
        _hasty = HastyAttempts;

        // The others heard of the leader about when this one did: it asks when their faith has ended, too.
        TimeSpan step = Settings.HeartbeatInterval;
        _clock.Advance(Now, (step / 8) + (step * rank) + TimeSpan.FromTicks(Random.NextInt64(step.Ticks / 8)));
    }

    /// <summary>There is a leader, or the one that was taken for dead is there.</summary>
    public void EndSuccession() => _hasty = 0;

    /// <summary>Until the next attempt to be elected.</summary>
    public void AwaitVotes()
    {
        _clock.Restart(Now, Random);
        if (_hasty == 0)
            return;
        _hasty--;
        TimeSpan step = Settings.HeartbeatInterval;
        _clock.Advance(Now, step + TimeSpan.FromTicks(Random.NextInt64(step.Ticks)));
    }

    public void BecomePreCandidate()
    {
        SetRole(RaftRole.PreCandidate, MemberId.None, new VoteTally(), null);
        AwaitVotes();
    }

    public void BecomeCandidate()
    {
        EnterTerm(Term.Next, Id);
        SetRole(RaftRole.Candidate, MemberId.None, new VoteTally(), null);
        AwaitVotes();
    }

    public void BecomeLeader()
    {
        Check.That(Role == RaftRole.Candidate && Vote == Id && Writes.IsHardStateSynced);
        SetRole(RaftRole.Leader, Id, null, new Leadership(this));
        EndSuccession();
        _clock.Stop();
        Leadership!.Begin();
    }

    public void GrantVote(MemberId candidate)
    {
        Check.That(Vote.IsNone || Vote == candidate, $"a second vote in term {Term}: {candidate} after {Vote}");
        if (Vote == candidate)
            return;
        Vote = candidate;
        Writes.HardStateChanged();
    }

    public void CommitTo(LogIndex index)
    {
        if (index <= Commit)
            return;
        Check.That(index <= Log.LastIndex, $"commit {index} is beyond the log's end {Log.LastIndex}");
        Commit = index;
        CommitAdvanced = true;
    }

    public void AppliedTo(LogIndex index)
    {
        Check.That(index >= Applied && index <= Commit, $"applied {index} is not within {Applied} to {Commit}");
        Applied = index;
        Following.Freshness.Applied(index);
    }

    /// <summary>Drops the log's end from this index on; what is committed is never dropped, and a leader drops nothing.</summary>
    public void Truncate(LogIndex from)
    {
        Check.That(from > Commit, $"truncation from {from} would take what is committed up to {Commit}");
        Check.That(Role != RaftRole.Leader, $"the leader of term {Term} would overwrite its log from {from}");
        Log.TruncateFrom(from);
        Writes.Truncated(from);
        Configurations.TruncateFrom(from);
        _ownEntries?.RemoveAll(e => e.Index >= from);
    }

    public void ResetToSnapshot(LogIndex index, Term term, in ConfigurationEntry configuration)
    {
        Check.That(index > Commit && term <= Term && configuration.Index <= index && Role != RaftRole.Leader);
        Log.Reset(index, term);
        Writes.Reset(index);
        Configurations.Reset(configuration);
        _ownEntries = null;
        Commit = Applied = index;
        CommitAdvanced = true;
        Following.Freshness.Applied(index);
    }

    public void Own(OwnEntry entry) => (_ownEntries ??= []).Add(entry);

    /// <summary>The first entry from here on that the driver has not been given; Max when it has all.</summary>
    public LogIndex FirstOwnFrom(LogIndex index)
    {
        if (_ownEntries is not null)
        {
            foreach (OwnEntry entry in _ownEntries)
            {
                if (entry.Index >= index)
                    return entry.Index;
            }
        }

        return LogIndex.Max;
    }

    public void MoveOwnEntries(List<OwnEntry> destination)
    {
        if (_ownEntries is null)
            return;
        destination.AddRange(_ownEntries);
        _ownEntries = null;
    }

    public void DiskAnswered(TimeSpan beganAt)
    {
        DiskStalled = false;
        if (beganAt > DiskSyncedAt)
            DiskSyncedAt = beganAt;
    }

    /// <summary>Gives memory back that only busy groups need.</summary>
    public void Trim()
    {
        Outbox.Trim();
        Writes.Trim();
        _ownEntries = null;
    }

    private void EnterTerm(Term term, MemberId vote)
    {
        Check.That(term > Term);
        Term = term;
        Vote = vote;
        Writes.HardStateChanged();
        Outbox.DropBefore(term);
        Following.ForgetTerm();
    }

    private void SetRole(RaftRole role, MemberId leader, VoteTally? tally, Leadership? leadership)
    {
        Role = role;
        Leader = leader;
        Tally = tally;
        Leadership = leadership;
        Quiesced = false;
        RoleChanged = true;
    }
}
