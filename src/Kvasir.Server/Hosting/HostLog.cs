using System.Net;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>What a server writes to its log.</summary>
internal static partial class HostLog
{
    [LoggerMessage(1, LogLevel.Information, "serving RESP on {EndPoint} by {Loop}, data in {Folder}, durability {Durability}")]
    public static partial void Serving(ILogger logger, IPEndPoint endPoint, string loop, string folder, string durability);

    [LoggerMessage(2, LogLevel.Information, "serving health and metrics on http://{EndPoint}")]
    public static partial void ServingHttp(ILogger logger, IPEndPoint endPoint);

    [LoggerMessage(3, LogLevel.Warning, "no password is set: clients from other hosts are refused (set requirepass, or protected-mode no to serve them)")]
    public static partial void Unprotected(ILogger logger);

    [LoggerMessage(21, LogLevel.Warning, "{File} {Untimely}: clients that look at certificates do not connect over TLS")]
    public static partial void Untimely(ILogger logger, string file, string untimely);

    [LoggerMessage(4, LogLevel.Information, "stopping: {Reason}")]
    public static partial void Stopping(ILogger logger, string reason);

    [LoggerMessage(18, LogLevel.Information, "closed a client, since clients together take more than maxmemory-clients: {Client}")]
    public static partial void Evicted(ILogger logger, string client);

    [LoggerMessage(5, LogLevel.Information, "stopped, everything is on disk")]
    public static partial void Stopped(ILogger logger);

    [LoggerMessage(17, LogLevel.Warning, "stopped; the disk had failed or was full: what was answered is on disk as far as the durability promises, but whether writes are that were not, only a start can tell")]
    public static partial void StoppedInDoubt(ILogger logger);

    [LoggerMessage(19, LogLevel.Error, "stopped, but {Loss} while it ran: what was answered before is in that folder, wherever it is; nothing was written where it had been")]
    public static partial void StoppedWithoutFolder(ILogger logger, string loss);

    [LoggerMessage(20, LogLevel.Error, "damage was found: {Damage}; whoever reads there gets an error (this file is named once; kvasir verify tells of all, with the server stopped)")]
    public static partial void DamageMet(ILogger logger, string damage);

    [LoggerMessage(6, LogLevel.Error, "the log cannot make writes durable: {Reason}")]
    public static partial void LogFailed(ILogger logger, string reason);

    [LoggerMessage(7, LogLevel.Information, "checkpoint {Folder} is complete")]
    public static partial void CheckpointDone(ILogger logger, string folder);

    [LoggerMessage(8, LogLevel.Error, "a checkpoint failed: {Reason}")]
    public static partial void CheckpointFailed(ILogger logger, string reason);

    [LoggerMessage(11, LogLevel.Warning, "the environment variable {Name} is not an option of the server: it is ignored")]
    public static partial void UnknownVariable(ILogger logger, string name);

    [LoggerMessage(9, LogLevel.Error, "expired keys of database {Database} are not deleted, its files cannot be read: {Reason}")]
    public static partial void SweepFailed(ILogger logger, int database, string reason);

    [LoggerMessage(10, LogLevel.Warning, "only {Clients} clients are served at once, not {Wanted}: the process may not have more files open (ulimit -n)")]
    public static partial void FewerClients(ILogger logger, int clients, long wanted);

    [LoggerMessage(13, LogLevel.Warning, "memory-mib {Mebibytes} is less than the process itself and the smallest caches take: expect up to {Expected} (at least {Smallest} is sensible)")]
    public static partial void SmallMemory(ILogger logger, long mebibytes, long expected, long smallest);

    [LoggerMessage(12, LogLevel.Warning, "{Path} could not be written, the server goes on without: {Reason}")]
    public static partial void ProcessIdNotWritten(ILogger logger, string path, string reason);

    [LoggerMessage(14, LogLevel.Warning, "{Path} could not be removed: {Reason}")]
    public static partial void ProcessIdNotDeleted(ILogger logger, string path, string reason);

    [LoggerMessage(15, LogLevel.Information, "{Text}")]
    public static partial void Announced(ILogger logger, string text);

    [LoggerMessage(16, LogLevel.Warning, "{Text}")]
    public static partial void Warned(ILogger logger, string text);
}
