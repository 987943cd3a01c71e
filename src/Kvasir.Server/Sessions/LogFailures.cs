using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>What logs could not make durable, for sessions whose replies waited for it. Thread-safe.</summary>
internal sealed class LogFailures
{
    // A session looks at every wake: one that has missed more than so many losses can be sure of nothing.
    private const int KeptMax = 1024;
    private const string UnknownError = "TIMEOUT outcome unknown: the server has met more losses than it remembers since the write";
    private const string UnknownReadError =
        "TRYAGAIN what was read is not certain: the server has met more losses than it remembers since it was read";

    private readonly Lock _lock = new();
    private volatile LogFailureNote[] _notes = [];

    // The last losses of logs whose disk failed: what is appended to such a log while it is stopped is lost, too. A node
    // that leads a group no more appends nothing to it.
    private volatile LogFailureNote[] _stopped = [];
    private long _count;

    /// <summary>How many there were since the start.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>A log that failed has not recovered since: nothing more becomes durable in it.</summary>
    public bool Current
    {
        get
        {
            foreach (LogFailureNote note in _stopped)
            {
                if (note.Log.IsStopped)
                    return true;
            }

            return false;
        }
    }

    public void Add(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
    {
        (string error, string readError) = loss switch
        {
            LogLoss.DiskFull => (
                "MISCONF disk full: the write was not and will not be applied. " + reason,
                "TRYAGAIN what was read was not and will not be applied: disk full. " + reason),
            LogLoss.DiskFailed => (
                "IOERR the disk failed: the write's outcome is unknown until the server restarts. " + reason,
                "IOERR the disk failed: whether what was read is there is unknown until the server restarts. " + reason),
            LogLoss.Overruled => (
                "TRYAGAIN leadership of the shard was lost: the write has not happened, and will not; try again",
                "TRYAGAIN what was read has not happened: leadership of its shard was lost before a majority had it"),
            _ => (
                "TIMEOUT outcome unknown: leadership of the shard was lost before a majority had the write",
                "TRYAGAIN what was read is not certain: leadership of its shard was lost before a majority had it"),
        };
        lock (_lock)
        {
            LogFailureNote[] before = _notes;
            LogFailureNote note = new(_count + 1, log, durable, error, readError) { MayStillCome = loss == LogLoss.LeadershipLost };
            _notes = [.. before.AsSpan(Math.Max(0, before.Length - KeptMax + 1)), note];
            if (loss is LogLoss.DiskFull or LogLoss.DiskFailed)
                _stopped = [.. _stopped.Where(n => !ReferenceEquals(n.Log, log)), note];
            Volatile.Write(ref _count, _count + 1);
        }
    }

    /// <summary>Turns what a session has waited for in vain into errors.</summary>
    /// <param name="output">The session's.</param>
    /// <param name="asksNext">
    /// Another node's, which asks the next leader itself. All others wait for what the log has to say of what may still come.
    /// </param>
    /// <param name="seen">How many losses it knew; how many it knows now.</param>
    public void Meet(SessionOutput output, bool asksNext, ref long seen)
    {
        LogFailureNote[] notes = _notes;
        if (notes.Length == 0)
            return;

        // What a kept note says is not of what was lost in one that was dropped: nothing definite may be said, of no log.
        if (notes[0].Number > seen + 1)
            output.FailAll(UnknownError, UnknownReadError);
        foreach (LogFailureNote note in notes)
        {
            if (note.Number > seen && (asksNext || !note.MayStillCome))
                output.Fail(note.Log, note.Durable, note.Error, note.ReadError);
        }

        foreach (LogFailureNote note in _stopped)
        {
            if (note.Log.IsStopped)
                output.Fail(note.Log, note.Durable, note.Error, note.ReadError);
        }

        seen = Math.Max(seen, notes[^1].Number);
    }

    /// <param name="Number">Counted from 1.</param>
    /// <param name="Log">Which.</param>
    /// <param name="Durable">Everything up to here is safe.</param>
    /// <param name="Error">What clients are told whose write came later.</param>
    /// <param name="ReadError">What they are told who have only seen such a write: to ask again changes nothing.</param>
    private sealed record LogFailureNote(long Number, IReplicaLog Log, LogPosition Durable, string Error, string ReadError)
    {
        /// <summary>It is not lost for good, and the log will tell.</summary>
        public bool MayStillCome { get; init; }
    }
}
