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
    void Cut(int from, int to);

    void HealLinks();

    /// <summary>Waits until every node answers; throws when one does not in time.</summary>
    void AwaitAll();
}
