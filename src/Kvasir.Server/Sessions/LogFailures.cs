using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>What the log could not make durable, for sessions whose replies waited for it. Thread-safe.</summary>
internal sealed class LogFailures(Func<bool> isStopped)
{
    private long _count;
    private volatile LogFailureNote? _last;

    public long Count => Volatile.Read(ref _count);

    public LogFailureNote? Last => _last;

    /// <summary>The log has not recovered since: nothing more becomes durable.</summary>
    public bool Current => _last is not null && isStopped();

    public void Add(LogPosition durable, bool definite, string reason)
    {
        string error = definite
            ? "MISCONF disk full: the write was not and will not be applied. " + reason
            : "IOERR the disk failed: the write's outcome is unknown until the server restarts. " + reason;
        _last = new LogFailureNote(durable, error);
        Interlocked.Increment(ref _count);
    }
}

/// <param name="Durable">Everything up to here is safe.</param>
/// <param name="Error">What clients are told whose write came later.</param>
internal sealed record LogFailureNote(LogPosition Durable, string Error);
