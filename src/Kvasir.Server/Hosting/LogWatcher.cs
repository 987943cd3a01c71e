using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>Passes the log's progress on to those whose replies wait for it.</summary>
internal sealed class LogWatcher(ServerState server, Action moved, ILogger logger) : ILogListener
{
    public void Durable(IReplicaLog log, LogPosition position) => moved();

    public void Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
    {
        server.LogFailures.Add(log, durable, loss, reason);
        if (loss is LogLoss.DiskFull or LogLoss.DiskFailed)
            HostLog.LogFailed(logger, reason);
        moved();
    }
}
