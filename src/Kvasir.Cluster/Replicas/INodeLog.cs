using Kvasir.Primitives;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Replicas;

/// <summary>What all logs of a node lie on: its journal, as those see it who serve clients. Thread-safe.</summary>
public interface INodeLog
{
    /// <summary>Why this node takes no writes at all now, or null.</summary>
    WriteRefusal? Refusal { get; }

    /// <summary>Nothing appended becomes durable: it has failed, and has not resumed.</summary>
    bool IsStopped { get; }

    LogPosition AppendedPosition { get; }

    LogPosition DurablePosition { get; }

    /// <summary>Bytes of log kept for replay.</summary>
    long RetainedBytes { get; }

    /// <summary>What the journal below did since it was opened.</summary>
    JournalStatistics Statistics { get; }

    /// <summary>
    /// Starts making what was appended durable, as far as anybody waits for it; once for all that came together, such as
    /// one turn of an event loop. What has <see cref="Keyspaces.Durability.Interval"/> is handed to the system, unless a sync
    /// is under way. Returns at once. Any thread, inside the mailbox and out of it.
    /// </summary>
    void Commit();

    /// <summary>
    /// As <see cref="Commit"/>, on the calling thread, and back only when it is done: cheaper when there is nothing else
    /// to do meanwhile. A failure is told to the listeners, not thrown.
    /// </summary>
    void CommitInline();
}
