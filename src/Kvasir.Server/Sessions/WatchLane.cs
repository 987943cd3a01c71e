using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Sessions;

/// <summary>
/// A way of its own to the leader of the shard whose keys a client watches: the session at its end has the watch, and what the
/// client does on that shard until EXEC goes there, too, so that nothing of it overtakes the watch. It leads to one node, and
/// is broken for good when that cannot be reached or no longer leads: what was watched may have changed then. Inside the
/// mailbox.
/// </summary>
internal sealed class WatchLane(GroupId group)
{
    public GroupId Group { get; } = group;

    /// <summary>Where it leads; nobody before the first request.</summary>
    public NodeId Leader { get; set; }

    public bool IsBroken { get; set; }
}
