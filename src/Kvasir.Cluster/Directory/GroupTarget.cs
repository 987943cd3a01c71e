using System.Collections.Immutable;
using Kvasir.Cluster.Groups;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>What the directory wants of a group, in the words of Raft.</summary>
public sealed class GroupTarget
{
    private readonly ImmutableArray<MemberId> _ableToLead;

    private GroupTarget(GroupRecord record, Configuration configuration, ImmutableArray<MemberId> ableToLead)
    {
        Record = record;
        Configuration = configuration;
        _ableToLead = ableToLead;
    }

    public GroupRecord Record { get; }

    /// <summary>Where the group shall arrive. The directory's has all other nodes as learners.</summary>
    public Configuration Configuration { get; }

    public MemberId PreferredLeader => Record.MemberOn(Record.PreferredLeader);

    /// <summary>Voters that neither leave nor are about to be stopped, ascending.</summary>
    public ReadOnlySpan<MemberId> AbleToLead => _ableToLead.AsSpan();

    public bool IsAbleToLead(MemberId id) => _ableToLead.Contains(id);

    /// <summary>Null when there is no such group.</summary>
    public static GroupTarget? Of(DirectoryView view, GroupId group)
    {
        if (view.Group(group) is not { } record)
            return null;
        MemberId[] voters = [.. record.Members];
        MemberId[] learners = group != GroupId.Directory
            ? []
            : [.. view.Nodes.Where(n => !record.IsReplica(n.Id) && view.IsMember(n)).Select(n => GroupMember.Of(n.Id))];
        return new GroupTarget(record, new Configuration(voters, learners),
            [.. record.Replicas.Where(id => view.Node(id)?.State == NodeState.Active).Select(record.MemberOn).Order()]);
    }
}
