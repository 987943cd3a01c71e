using Kvasir.Primitives;

namespace Kvasir.Storage.Journal;

/// <summary>Hears of a journal's progress, from whoever committed.</summary>
public interface IJournalListener
{
    /// <summary>
    /// Every record up to and including <paramref name="position"/> is on stable storage. News of a lower position may come behind that of
    /// a higher one, from another thread. It may append, write and commit.
    /// </summary>
    void Durable(LogPosition position);

    /// <summary>
    /// Records after <paramref name="durable"/> did not become durable. With <see cref="JournalFailure.DiskFull"/> they
    /// never reached the disk and never will: a definite outcome. With <see cref="JournalFailure.DiskFailed"/> some may
    /// be found after a restart: an indeterminate one. Called inside the commit: be brief, and do not call back into the journal, which takes nothing more.
    /// </summary>
    void Failed(JournalFailure failure, Exception cause, LogPosition durable);
}

public enum JournalFailure
{
    None,

    /// <summary>No space for another segment, or for any part of a write. <c>JournalWriter.TryResume</c> succeeds once there is space again.</summary>
    DiskFull,

    /// <summary>A write or a sync failed. Final until the process restarts: a failed sync is never retried.</summary>
    DiskFailed,
}
