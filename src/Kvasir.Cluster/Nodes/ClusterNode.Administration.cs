using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <summary>What people ask and tell the cluster.</summary>
public sealed partial class ClusterNode : IClusterAdministration, IClusterTopology
{
    private static readonly TimeSpan s_administrationPatience = TimeSpan.FromSeconds(5);

    private readonly List<(GroupId Group, NodeId To, long Since, Action<string?> Done)> _transfers = [];
    private readonly List<(Func<bool> HasCome, long Since, Action<string?> Done)> _awaitedNews = [];

    ulong IClusterTopology.ClusterId => _membership?.Cluster ?? 0;

    NodeId IClusterTopology.DirectoryLeader => _directory?.Leader ?? NodeId.None;

    IReadOnlyList<NodeDescription> IClusterTopology.Nodes =>
    [
        .. View.Nodes.Select(n => new NodeDescription(
            n.Id, n.State == NodeState.Dead ? "down" : DirectoryOperations.WordOf(n.State), n.Id == Self || _reachable.ContainsKey(n.Id),
            n.PeerAddress, n.RespAddress, n.HttpAddress, n.Locality.ToString())),
    ];

    IReadOnlyList<KeyspaceDescription> IClusterTopology.Keyspaces =>
    [
        .. View.Keyspaces.Where(k => !k.Record.IsSystem).OrderBy(k => k.Record.Name, NaturalOrder.Instance).Select(k => k.Record).Select(k => new KeyspaceDescription(
            k.Name, _router.NumberOf(k), k.Engine, Word(k.Partitioning), k.Shards, Word(k.Replication), k.Replicas, Word(k.Durability))
        {
            MovesTo = k.IsMoving ? k.EngineWanted : null,
        }),
    ];

    IReadOnlyList<GroupDescription> IClusterTopology.Groups =>
    [
        .. View.Groups.Select(g => new GroupDescription(
            g.Id, View.Keyspace(g.Keyspace)?.Record.Name ?? "", g.Shard, g.Epoch, g.Replicas, _router.LeaderOf(g))),
    ];

    IReadOnlyList<ReplicaDescription> IClusterTopology.Replicas =>
        _host is null ? [] : [.. _host.Groups.Select(DescribeReplica)];

    IReadOnlyList<StoppedReplica> IClusterTopology.Stopped => Volatile.Read(ref _stopped);

    SnapshotTotals IClusterTopology.Snapshots => _snapshots?.Totals ?? default;

    FurthestBehind IClusterTopology.FurthestBehind => new(Volatile.Read(ref _mostEntriesBehind), Volatile.Read(ref _longestBehindMs));

    void IClusterAdministration.CreateKeyspace(KeyspaceRequest request, Action<string?> done) =>
        PostAdministration(
            new AdministrationCall(AdministrationVerb.CreateKeyspace, [request.Name, .. request.ToWords()]), error => AwaitNews(error, () => IsThere(request.Name), done));

    void IClusterAdministration.Drain(NodeId node, Action<string?> done) =>
        PostAdministration(new AdministrationCall(AdministrationVerb.Drain, [node.ToString()]), done);

    void IClusterAdministration.Decommission(NodeId node, Action<string?> done) =>
        PostAdministration(new AdministrationCall(AdministrationVerb.Decommission, [node.ToString()]), done);

    void IClusterAdministration.TransferLeader(string keyspace, int shard, NodeId to, Action<string?> done)
    {
        if (View.KeyspaceByName(keyspace) is not { } shards || (uint)shard >= (uint)shards.Groups.Length || shards.Groups[shard] is not { } group)
        {
            done($"ERR there is no shard {shard} of keyspace '{keyspace}'");
            return;
        }

        PostAdministration(new AdministrationCall(AdministrationVerb.PreferLeader, [group.Id.ToString(), to.ToString()]), error =>
        {
            if (error is not null)
                done(error);
            else
                _transfers.Add((group.Id, to, Time.GetTimestamp(), done));
        });
    }

    private void PostAdministration(AdministrationCall call, Action<string?> done) =>
        Mailbox.Post(new ActionItem(execution => AdministrateOrForward(execution, call, done)));

    private void AdministrateOrForward(Execution execution, AdministrationCall call, Action<string?> done)
    {
        if (_directory is { IsServing: true })
        {
            Administrate(execution, call, done);
            return;
        }

        if (_directory is not { Leader: { IsNone: false } leader } || leader == Self || View.Node(leader) is not { } node
            || !PeerAddress.TryParse(node.PeerAddress, leader, out PeerAddress address))
        {
            done("CLUSTERDOWN nobody leads the directory at the moment; try again");
            return;
        }

        Transport.Call(address, call.ToBytes(), s_administrationPatience, reply => Mailbox.Post(new ActionItem(_ => done(reply.Outcome switch
        {
            CallOutcome.Answered => AdministrationCall.ReadReply(reply.Bytes.Span),
            CallOutcome.Failed or CallOutcome.Foreign => $"TRYAGAIN the directory's leader cannot be reached: {reply.Reason}",
            _ => $"TIMEOUT outcome unknown: the directory's leader did not answer: {reply.Reason}",
        }))));
    }

    /// <summary>As the directory's leader, or not at all: nobody is asked a second time.</summary>
    private void Administrate(Execution execution, AdministrationCall call, Action<string?> done)
    {
        if (_directory is not { IsServing: true })
        {
            done("TRYAGAIN this node no longer leads the directory");
            return;
        }

        _desk!.Ask(execution, view => Decide(view, call), (outcome, refusal) => done(outcome switch
        {
            DeskOutcome.Done => null,
            DeskOutcome.Refused => "ERR " + refusal,
            DeskOutcome.NotLeader => "TRYAGAIN this node no longer leads the directory",
            _ => "TIMEOUT outcome unknown: leadership of the directory was lost",
        }));
    }

    private DirectoryDecision Decide(DirectoryView view, AdministrationCall call)
    {
        switch (call.Verb)
        {
            case AdministrationVerb.CreateKeyspace when call.Words.Count > 0:
                return KeyspaceRequest.TryParse(call.Words[0], [.. call.Words.Skip(1)], out KeyspaceRequest? request, out string? refusal)
                    ? DirectoryOperations.CreateKeyspace(view, request)
                    : DirectoryDecision.Refuse(refusal);
            case AdministrationVerb.DropKeyspace when call.Words.Count == 1:
                return DirectoryOperations.DropKeyspace(view, call.Words[0]);
            case AdministrationVerb.ConvertKeyspace when call.Words.Count == 2:
                return DirectoryOperations.BeginMove(view, call.Words[0], call.Words[1], NowMs);
            case AdministrationVerb.AbortConversion when call.Words.Count == 1:
                return DirectoryOperations.AbortMove(view, call.Words[0]);
            case AdministrationVerb.Drain when TryNode(call, 0, out NodeId drained):
                return DirectoryOperations.Drain(view, drained);
            case AdministrationVerb.Decommission when TryNode(call, 0, out NodeId leaving):
                return DirectoryOperations.Decommission(view, leaving, force: false);
            case AdministrationVerb.PreferLeader when TryNode(call, 1, out NodeId leader)
                && uint.TryParse(call.Words[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint group):
                return DirectoryOperations.SetPreferredLeader(view, new GroupId(group), leader);
            default:
                return DirectoryDecision.Refuse("it cannot be understood");
        }
    }

    private static bool TryNode(AdministrationCall call, int word, out NodeId node)
    {
        bool isNumber = ulong.TryParse(call.Words.ElementAtOrDefault(word), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number);
        node = new NodeId(number);
        return isNumber;
    }

    /// <summary>Those who asked for another leader hear when it leads.</summary>
    private void LookAfterTransfers()
    {
        for (int i = _transfers.Count - 1; i >= 0; i--)
        {
            (GroupId id, NodeId to, long since, Action<string?> done) = _transfers[i];
            bool leads = View.Group(id) is { } record && _router.LeaderOf(record) == to;
            if (!leads && Time.GetElapsedTime(since) < s_administrationPatience)
                continue;
            _transfers.RemoveAt(i);
            done(leads ? null : $"TRYAGAIN node {to} does not lead yet; it is written down that it shall");
        }
    }

    private ReplicaDescription DescribeReplica(RaftGroup group)
    {
        TimeSpan lag = TimeSpan.Zero;
        if (group.Role != RaftRole.Leader && !group.IsQuiet)
            lag = group.TryAge(out TimeSpan age) ? age : TimeSpan.MaxValue;
        bool learns = group.Configuration.IsLearner(group.Member.Id);
        return new ReplicaDescription
        {
            Group = group.Id,
            Role = group.Role switch
            {
                RaftRole.Leader => "leader",
                RaftRole.Follower => learns ? "learner" : "follower",
                _ => "candidate",
            },
            Term = group.Term,
            Leader = group.Leader,
            Voters = [.. group.Configuration.Voters.ToArray().Select(GroupMember.NodeOf)],
            Learners = [.. group.Configuration.Learners.ToArray().Select(GroupMember.NodeOf)],
            Commit = group.CommitIndex.Value,
            Applied = group.AppliedIndex.Value,
            Last = group.LastIndex.Value,
            LagBytes = group.BytesBetween(group.AppliedIndex, group.CommitIndex),
            Followers = [.. FollowersOf(group)],
            LagMs = lag == TimeSpan.MaxValue ? -1 : (long)lag.TotalMilliseconds,
            HasLease = group.HasLease,
            Snapshot = _snapshots?.ArrivalOf(group),
            SnapshotFailure = _snapshots?.FailureOf(group),
            Engine = group.Replica.Options.Engine,
            IndexPercent = group.Replica.Engine.GetStatistics().IndexPercent,
            Disk = _host!.Refusal?.Message ?? _engineFailures.GetValueOrDefault(group.Id) ?? group.ApplyFailure ?? UnreadableOf(group) ?? "ok",
        };
    }

    private IEnumerable<FollowerLag> FollowersOf(RaftGroup group)
    {
        TimeSpan now = _host!.Now();
        foreach (MemberId member in group.Configuration.Members.ToArray())
        {
            // Of one that was never heard of in this term nothing is known.
            if (!group.TryFollower(member, out FollowerStatus follower) || (follower.IsSuspected && follower.MatchIndex == LogIndex.Zero))
                continue;
            ulong entries = group.CommitIndex > follower.MatchIndex ? group.CommitIndex - follower.MatchIndex : 0;
            SnapshotDispatch? snapshot = _snapshots?.DispatchTo(group, member);

            // One that was refused and has everything has got it as entries.
            if (snapshot is { Stage: SnapshotStage.Refused } && entries == 0)
                snapshot = null;
            yield return new FollowerLag(
                GroupMember.NodeOf(member), entries, group.BytesBetween(follower.MatchIndex, group.CommitIndex),
                (long)_delays.Of(group.Id, member, follower.MatchIndex, group.CommitIndex, now).TotalMilliseconds, snapshot);
        }
    }

    private static string Word<TChoice>(TChoice choice) where TChoice : struct, Enum => choice.ToString().ToLowerInvariant();
}
