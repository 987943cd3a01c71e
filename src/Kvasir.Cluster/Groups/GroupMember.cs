using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// A node's copy of a group as a member of Raft. One that was removed is gone with all that it has promised; when the group is placed
/// on the node again, that is another member: of another generation.
/// </summary>
public static class GroupMember
{
    public static MemberId Of(NodeId node, uint generation = 0)
    {
        Check.That(node.Value <= uint.MaxValue);
        return new MemberId((uint)node.Value, generation);
    }

    public static NodeId NodeOf(MemberId member) => new(member.Keeper);
}
