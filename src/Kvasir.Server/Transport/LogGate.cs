using Kvasir.Cluster.Nodes;

namespace Kvasir.Server.Transport;

/// <summary>How event loops ask the log to become durable.</summary>
internal static class LogGate
{
    public static void Commit(KvasirNode node) => _ = node;
}
