using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Which leaders a client was told by MOVED when it read here. Who follows the redirection does not come back, until the shard has
/// another leader, of which it is told in turn. In the mailbox.
/// </summary>
internal sealed class ToldLeaders
{
    /// <summary>Of one connection. A client that asks for more of them is told some of them again.</summary>
    private const int ShardsMax = 1024;

    private readonly Dictionary<GroupId, (NodeId Leader, long ReceivedBytes)> _told = [];

    /// <param name="group">What is read.</param>
    /// <param name="leader">Who leads it now.</param>
    /// <param name="position">Where the read begins in the client's input: what had come when it was told was sent before it knew.</param>
    public bool WasTold(GroupId group, NodeId leader, long position) =>
        _told.TryGetValue(group, out (NodeId Leader, long ReceivedBytes) told) && told.Leader == leader && position >= told.ReceivedBytes;

    public void Tell(GroupId group, NodeId leader, long receivedBytes)
    {
        if (_told.Count >= ShardsMax && !_told.ContainsKey(group))
            _told.Clear();
        _told[group] = (leader, receivedBytes);
    }

    /// <summary>A write was turned away: the client repeats it elsewhere, and what it reads behind it has to go there, too.</summary>
    public void Forget(GroupId group) => _told.Remove(group);
}
