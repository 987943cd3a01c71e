using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>How those who carry connections ask the log to become durable.</summary>
internal static class LogGate
{
    /// <summary>
    /// <paramref name="inline"/>: on this thread, back when done. Nothing else could be sent meanwhile, so with one loop
    /// the hop to another thread would only add to the wait.
    /// </summary>
    public static void Commit(ServerState server, bool inline)
    {
        lock (server.ReloadLock)
        {
            INodeLog log = server.Node.Log;
            if (inline)
                log.CommitInline();
            else
                log.Commit();
        }
    }

    public static LogPosition Appended(ServerState server)
    {
        lock (server.ReloadLock)
            return server.Node.Log.AppendedPosition;
    }
}
