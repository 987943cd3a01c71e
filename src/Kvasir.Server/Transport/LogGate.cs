using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;

namespace Kvasir.Server.Transport;

/// <summary>How those who carry connections ask the log to become durable.</summary>
internal static class LogGate
{
    /// <summary>
    /// <paramref name="inline"/>: on this thread, back when done. Nothing else could be sent meanwhile, so with one loop
    /// the hop to another thread would only add to the wait.
    /// </summary>
    public static void Commit(KvasirNode node, bool inline)
    {
        IReplicaLog log = node.Log;
        if (inline)
            log.CommitInline();
        else
            log.Commit();
    }
}
