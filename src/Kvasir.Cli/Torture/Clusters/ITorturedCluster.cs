namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What a nemesis can do to a cluster. Nodes are counted from zero.</summary>
internal interface ITorturedCluster
{
    int NodeCount { get; }

    /// <summary>
    /// The shards that each node leads, as far as anybody who answers says; shards of the keyspace that clients use.
    /// </summary>
    IReadOnlyList<IReadOnlyList<int>> Leads();

    /// <summary>SIGKILL; back when the process is gone.</summary>
    void Kill(int node);

    /// <summary>SIGTERM; back when the process is gone. Throws when it did not end cleanly.</summary>
    void Terminate(int node);

    /// <summary>Starts a node that was killed or terminated; back at once.</summary>
    void Start(int node);

    void Freeze(int node);

    void Thaw(int node);

    /// <summary>Nothing gets from one to the other until all is healed.</summary>
    void Cut(int from, int to, LinkCut how);

    void HealLinks();

    /// <summary>The node whose disk can be made full; null: there is none.</summary>
    int? SmallDisk { get; }

    /// <summary>From now on nothing more gets onto the small disk.</summary>
    void FillDisk();

    /// <summary>There is room on it again.</summary>
    void FreeDisk();

    /// <summary>The node says of itself that its disk takes nothing.</summary>
    bool SaysDiskIsFull(int node);

    /// <summary>Writes large values, as fast as the cluster takes them, until this is so, or for a while.</summary>
    void Press(Func<bool> until, long bytesMax);

    /// <summary>A snapshot is on its way into the node's folder.</summary>
    bool IsReceivingSnapshot(int node);

    /// <summary>Some shard has members that are not yet, or no longer, what they shall be.</summary>
    bool IsChangingMembers();

    /// <summary>A node that does not run has lost its folder: the cluster is told so, and its next start is a new node's.</summary>
    void Replace(int node);

    /// <summary>Waits until every node answers; throws when one does not in time.</summary>
    void AwaitAll();

    /// <summary>Waits until every shard has all its copies again; throws when that is not so in time.</summary>
    void AwaitWhole();
}
