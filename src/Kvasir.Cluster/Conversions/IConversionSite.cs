using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Conversions;

/// <summary>
/// What lies around a replica that is converted: its log, its folders, its place among the others. Where nothing else is said, a
/// member belongs to the conversion's job.
/// </summary>
internal interface IConversionSite
{
    IScheduler Scheduler { get; }

    ReplicaMailbox Mailbox { get; }

    /// <summary>Of the node.</summary>
    ConversionMeter Meter { get; }

    /// <summary>The engine that is there, until <see cref="TrySwitch"/>.</summary>
    IStorageEngine Source { get; }

    /// <summary>
    /// A source that cannot write its files is copied with what it has in memory: its log is kept for it. Else the conversion fails.
    /// </summary>
    bool LeavesFailingSources { get; }

    /// <summary>Engines should write what they have in memory to their files.</summary>
    bool MemoryIsShort { get; }

    /// <summary>Of those who write to the replica, from <see cref="BeginFeed"/> to the end.</summary>
    WritePace Pace { get; }

    /// <summary>Has the log made durable as far as it goes now; returns at once.</summary>
    void RequestDurable();

    /// <summary>An engine in an empty folder of its own; throws where there is no room for it.</summary>
    IStorageEngine OpenTarget();

    /// <summary>
    /// A walk over <see cref="SourceView"/> that begins in the same turn of the mailbox holds the log up to this position, all of it
    /// durable, and nothing else. False where that cannot be said now and can be soon; throws where writes are refused. In the mailbox.
    /// </summary>
    bool TrySeal(out LogPosition position);

    /// <summary>
    /// What was sealed last has everything that was acknowledged before the conversion began: what of it does not fit into the target will
    /// not fit later either. Of a copy that lags behind it may be deleted by now.
    /// </summary>
    bool IsCurrent { get; }

    /// <summary>What of the source is copied and compared.</summary>
    ReadView SourceView { get; }

    /// <summary>Of the source, at the position that was sealed last. In the mailbox.</summary>
    StateDigest SealedDigest { get; }

    /// <summary>The source's files are found to be damaged.</summary>
    void SourceDamaged(CorruptionException cause);

    /// <summary>
    /// The writes behind a sealed position, which the log keeps from now on for as long as the conversion needs them. In the mailbox.
    /// </summary>
    IWriteFeed BeginFeed(LogPosition sealedAt);

    /// <summary>
    /// Durably and at once the target, which is at the position that was just sealed, is the replica's engine. When it throws, a restart
    /// may find either, and both must stay whole until <see cref="Withdraw"/> has returned. False where nothing was done, because there is
    /// too much on its way at the moment. In the mailbox.
    /// </summary>
    bool TrySwitch(IStorageEngine target);

    /// <summary>
    /// After a switch that failed: durably, the source is the replica's engine. Does nothing when none was tried. In the mailbox.
    /// </summary>
    void Withdraw();

    /// <summary>
    /// The conversion needs nothing of the log any more, and its target is closed. With <paramref name="removesTarget"/> there was
    /// one, and its files go, if they can; without, files of an engine that is only about to be left may still be in use.
    /// </summary>
    void Forget(bool removesTarget);

    /// <summary>Closes and removes the engine that was there before the switch; false when somebody copies files just now.</summary>
    bool TryRetire(IStorageEngine before);
}

/// <summary>The writes to one replica in the order of the log, as far as they are durable. One thread at a time.</summary>
internal interface IWriteFeed : IDisposable
{
    /// <summary>All writes up to here have been given.</summary>
    LogPosition ReadUpTo { get; }

    /// <summary>Bytes of the log up to there, from wherever it began to count.</summary>
    long BytesRead { get; }

    /// <summary>Bytes of the log behind that, durable or not.</summary>
    long BytesBehind { get; }

    /// <summary>There may be more that only <see cref="Fetch"/> can bring.</summary>
    bool WantsFetch => false;

    /// <summary>Reads ahead; false where there is nothing more for now. In the mailbox.</summary>
    bool Fetch() => false;

    /// <summary>The next record; false when none is durable yet. Throws where the log has let go of it, or is damaged.</summary>
    /// <param name="batch">What it has of the replica's: empty where it has nothing. Valid until the next call.</param>
    bool TryNext(out ReadOnlySpan<byte> batch);
}
