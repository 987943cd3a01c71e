using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>What a node does by the clock, inside the mailbox.</summary>
public sealed partial class ClusterNode
{
    private static readonly TimeSpan s_upkeepPeriod = TimeSpan.FromMilliseconds(100);

    // Every so many rounds: what costs more.
    private const int RoundsOfReports = 5;
    private const int RoundsOfDirectory = 5;
    private const int RoundsOfJournal = 10;
    private const int RoundsOfHealth = 10;
    private const int RoundsOfDisk = 5;
    private const int RoundsOfMemory = 200;
    private const int RoundsOfConversions = 2;

    // A follower that lags further is brought up by a snapshot, where the journal is longer than it should be.
    private const ulong KeptForFollowersMax = 1_000_000;

    private static readonly TimeSpan s_handOverPauseMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_handOverPauseMax = TimeSpan.FromSeconds(8);

    private readonly Dictionary<GroupId, (MemberId To, TimeSpan At, TimeSpan Pause)> _handOvers = [];

    // A process that has just begun has other things to do than to lead; and not everything is handed over in one moment.
    private static readonly TimeSpan s_settling = TimeSpan.FromSeconds(2);
    private const int TransfersAtOnceMax = 4;

    // And since when.
    private readonly SortedList<NodeId, TimeSpan> _reachable = [];
    private readonly PostedItem _deskItem;
    private readonly PostedItem _rearrangeItem;
    private readonly PostedItem _openItem;
    private readonly PostedItem _transferItem;
    private readonly PostedItem _roomItem;
    private readonly List<GroupReport> _reports = [];
    private readonly BytesBuffer _reportBytes = new();
    private int _round;
    private int _upkeepPosted;

    private void PostUpkeep()
    {
        if (!_disposed && Interlocked.Exchange(ref _upkeepPosted, 1) == 0)
            Mailbox.Post(_upkeepItem);
    }

    private void Upkeep(Execution execution)
    {
        AskSeeds();
        Announce(execution);
        if (_host is null || _directory is null)
            return;
        _round++;
        SearchDirectory();
        SweepFolders();
        Rearrange();
        if (_opensLater)
            _router.Rebuild(View);
        _snapshots?.Tick();
        LookAtFollowers();
        Reconcile();
        LookAfterTransfers();
        LookAfterNews();
        if (_round % RoundsOfReports == 0)
        {
            Report(execution);
            TellOfStopped();
            ReportMoves();
        }

        if (_round % RoundsOfConversions == 0)
            LookAfterConversions();

        if (_round % RoundsOfDirectory == 0 && _directory.IsServing && _desk!.IsIdle)
        {
            KeepDirectory(execution);
            SettleMoves(execution);
        }

        if (_round % RoundsOfJournal == 0)
        {
            LookForDamage();
            KeepJournal();
        }

        if (_round % RoundsOfHealth == 0)
            LookAtHealth();
        if (_round % RoundsOfDisk == 0)
            LookAfterDisk();
        if (_round % RoundsOfMemory == 0)
            _memory.Spares.Rest();
        BoundMemory();
    }

    private void RouteMoved(RaftGroup group, bool isOfLeader)
    {
        _router.Moved(group, isOfLeader);
        if (isOfLeader && _transfers.Count > 0)
            _transferItem.Post();
    }

    /// <summary>Groups that are led here take a step towards what the directory wants of them.</summary>
    private void Reconcile()
    {
        if (_host is null || _handedOver is not null)
            return;
        DirectoryView view = View;
        TimeSpan now = _host.Now();
        _reports.Clear();
        int transfers = 0;
        foreach (RaftGroup group in _host.Groups)
        {
            if (!group.IsServing && view.Group(group.Id) is { } wanted)
                group.HeedLeader(now, wanted.MemberOn(group.Leader));
            if (!group.IsServing || view.Group(group.Id) is not { } record || IsAsItShallBe(group, record))
                continue;
            if (GroupTarget.Of(view, group.Id) is not { } target)
                continue;
            if (group.IsQuiet && MayGoOn(group, target))
                group.Rouse();
            ReconciliationStep step = Reconciliation.Next(target, GroupKnowledge.Of(group.Member, _options.Raft, now));
            if (step.Action == ReconciliationAction.Configure)
                group.Configure(step.Voters.AsSpan(), step.Learners.AsSpan());
            else if (step.Action == ReconciliationAction.Transfer && transfers < TransfersAtOnceMax
                && HasSettled(GroupMember.NodeOf(step.To), now) && MayHandOver(group.Id, step.To, now))
                transfers += group.TryTransfer(step.To) ? 1 : 0;
            if (step.IsSettled && !record.IsSettled)
                _reports.Add(new GroupReport(group.Id, record.Epoch));
        }
    }

    private bool HasSettled(NodeId node, TimeSpan now) => _reachable.TryGetValue(node, out TimeSpan since) && now - since >= s_settling;

    /// <summary>There is a step that a sleeping group can take, once it has heard of its members again.</summary>
    private bool MayGoOn(RaftGroup group, GroupTarget target) =>
        !group.Configuration.Equals(target.Configuration) || _reachable.ContainsKey(target.Record.PreferredLeader) || View.Node(Self)?.State != NodeState.Active;

    /// <summary>
    /// While leadership is handed over the group takes no writes; where it comes to nothing, because the other one's disk is full
    /// for example, it is tried again after ever longer pauses.
    /// </summary>
    private bool MayHandOver(GroupId group, MemberId to, TimeSpan now)
    {
        TimeSpan pause = TimeSpan.Zero;
        if (_handOvers.TryGetValue(group, out (MemberId To, TimeSpan At, TimeSpan Pause) last) && last.To == to)
        {
            if (now - last.At < last.Pause)
                return false;

            // Long ago: it went well then, or something has changed.
            pause = now - last.At < 4 * last.Pause ? last.Pause * 2 : TimeSpan.Zero;
        }

        _handOvers[group] = (to, now, pause < s_handOverPauseMin ? s_handOverPauseMin : pause > s_handOverPauseMax ? s_handOverPauseMax : pause);
        return true;
    }

    // The directory's own also depends on the nodes, so it is always judged.
    private bool IsAsItShallBe(RaftGroup group, GroupRecord record)
    {
        if (group.Id == GroupId.Directory || !record.IsSettled || (!record.PreferredLeader.IsNone && record.PreferredLeader != Self))
            return false;
        ReadOnlySpan<MemberId> voters = group.Configuration.Voters;
        if (group.Configuration.IsJoint || group.Configuration.Learners.Length > 0 || voters.Length != record.Replicas.Length)
            return false;
        foreach (MemberId voter in voters)
        {
            if (record.MemberOn(GroupMember.NodeOf(voter)) != voter)
                return false;
        }

        return View.Node(Self)?.State == NodeState.Active;
    }

    private void Report(Execution execution)
    {
        if (_reports.Count == 0 || _directory!.Leader.IsNone)
            return;
        if (_directory.IsServing)
        {
            Settle(execution, [.. _reports]);
            return;
        }

        _reportBytes.Clear();
        _reportBytes.Append(Channel.Calls);
        DirectoryCallCodec.Write(_reportBytes, _reports);
        Transport.Send(_directory.Leader, MessageBuffer.Copy(_reportBytes.WrittenSpan));
    }

    private void KeepDirectory(Execution execution)
    {
        KeepLeftAlone(execution);
        TimeSpan now = _host!.Now();
        List<NodeStanding> standings = [new NodeStanding(Self, TimeSpan.Zero, HasDirectory: true)];
        foreach (NodeRecord node in View.Nodes)
        {
            if (node.Id != Self && _directory!.TryFollower(GroupMember.Of(node.Id), out FollowerStatus status))
                standings.Add(new NodeStanding(node.Id, now - status.HeardAt, status.HasCaughtUp));
        }

        _stoppedCopies.Forget(now);
        CopyReplacement? replacement = null;
        _desk!.Ask(
            execution,
            view => DirectoryUpkeep.Next(view, standings, _options.Upkeep, _stoppedCopies, now, out replacement),
            (outcome, _) =>
            {
                if (outcome == DeskOutcome.Done && replacement is { } made)
                    SayReplaced(made);
            });
    }

    /// <summary>What flushes and compactions have met.</summary>
    private void LookForDamage()
    {
        foreach (RaftGroup group in _host!.Groups)
        {
            if (group.Replica.Engine.BackgroundFailure is CorruptionException damage)
                group.Damaged(damage);
        }
    }

    /// <summary>
    /// Logs are cut behind what the engines have, where the journal has grown: not before, so that followers that were away
    /// are brought up from it.
    /// </summary>
    private void KeepJournal()
    {
        if (_host!.Refusal is not null)
            return;
        long retained = _journal!.RetainedBytes;
        if (retained > _options.JournalBytesMax / 4)
        {
            foreach (RaftGroup group in _host.Groups)
                group.Compact(LogIndex.Least(KeptFrom(group, retained), NeededByConversion(group)));
        }

        LetGoOfUnreadable();
        GroupId holder = _journal.TrimNow();
        _host.WriteSoon();
        if (retained > _options.JournalBytesMax / 4 * 3 && _host.TryFind(holder, out RaftGroup? oldest))
        {
            oldest.Replica.Engine.Flush();
            FlushTarget(oldest);
        }
    }

    private LogIndex KeptFrom(RaftGroup group, long retained)
    {
        LogIndex kept = LogIndex.Max;
        if (retained > _options.JournalBytesMax || group.Role != RaftRole.Leader)
            return kept;
        foreach (MemberId member in group.Configuration.Members)
        {
            if (group.TryFollower(member, out FollowerStatus status) && !status.IsSuspected
                && group.LastIndex - status.MatchIndex < KeptForFollowersMax)
                kept = LogIndex.Least(kept, status.MatchIndex.Next);
        }

        return kept;
    }

    private void BoundMemory()
    {
        if (_host is null || !_memory.WriteLimitReached)
            return;
        foreach (RaftGroup group in _host.Groups)
        {
            _room.Add(group.Replica.Engine);
            if (TargetOf(group, out long filled) is { } target)
                _room.Add(target, filled);
        }

        _room.Make();
    }

    private sealed class UpkeepItem(ClusterNode node) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            Volatile.Write(ref node._upkeepPosted, 0);
            if (!node._disposed)
                node.Upkeep(execution);
        }
    }

    /// <summary>Work that is done once, however often it was asked for until then.</summary>
    private sealed class PostedItem(ClusterNode node, Action<ClusterNode, Execution> action) : IMailboxItem
    {
        private int _posted;

        public void Run(Execution execution)
        {
            Volatile.Write(ref _posted, 0);
            if (!node._disposed)
                action(node, execution);
        }

        public void Post()
        {
            if (Interlocked.Exchange(ref _posted, 1) == 0)
                node.Mailbox.Post(this);
        }
    }
}
