using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Routing;

/// <summary>Knows which shard a key belongs to, and who leads it. Inside the mailbox. Allocates nothing.</summary>
public interface IRouter
{
    /// <summary>Another number whenever a route may have become another: of a leader, a lease, or a keyspace.</summary>
    ulong Version { get; }

    /// <param name="database">An index below the node's count of databases.</param>
    /// <param name="slot">Of the key: docs/formats/sharding.md.</param>
    Route Route(int database, int slot);

    Route Route(GroupId group);

    /// <summary>
    /// As above, on behalf of one command: where this node leads without a lease the command gets a claim, and with it the
    /// route is local as soon as this node has shown that it leads still. A claim is never used for another command.
    /// </summary>
    Route Route(GroupId group, ref ReadClaim claim);

    /// <summary>Told, inside the mailbox, of each shard whose route may have become another, or whose claims may have come true.</summary>
    Action<GroupId>? Watcher { get; set; }

    /// <summary>
    /// This node's replica of a shard that another node leads, for reads that need not be current; null when there is none, or
    /// what it has may be older than the bound. <paramref name="age"/> is how old it is at most.
    /// </summary>
    Replica? StaleReplica(GroupId group, TimeSpan ageMax, out TimeSpan age);

    /// <summary>By the directory this node has a copy of the shard, and clients are told so: whether or not the copy can be read now.</summary>
    bool IsReplicaOf(GroupId group);

    /// <summary>Up to here the shard's log is committed, as far as this node's own replica knows; zero when it has none.</summary>
    LogPosition CommittedIn(GroupId group) => LogPosition.Zero;

    /// <summary>
    /// The shards of a database, in the order in which their slots take turns: slot modulo their count is the index. Empty
    /// when its keyspace was dropped, or is not known here.
    /// </summary>
    ReadOnlySpan<GroupId> ShardsOf(int database);

    /// <summary>
    /// The index that a shard's database has on this node, or -1 while it is not known here. Databases that have names only are
    /// numbered by each node as it hears of them.
    /// </summary>
    int DatabaseOf(GroupId group);

    /// <summary>Every keyspace that was there so long ago is known here, by what the directory's leader has said; nothing is certain while it is silent.</summary>
    TimeSpan KeyspacesAge { get; }

    /// <summary>The index of the database with this name, or -1.</summary>
    int FindDatabase(ReadOnlySpan<byte> name);
}
