using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Logs;

/// <summary>
/// The log of a node that is alone: its journal, shared by all its replicas. Thread-safe as the journal is.
/// </summary>
internal sealed class JournalLog : IReplicaLog, INodeLog, IJournalListener
{
    // Bytes that nobody waits for are handed to the system in pieces of at least this size, or by the node's clock.
    private const ulong EagerWriteBytes = 256 << 10;

    // What no reply waits for is synced, too, in steps like this: engines flush nothing that the log may still lose.
    private const ulong UnsyncedBytesMax = 64 << 20;

    private readonly Action<JournalFailure, Exception, LogPosition> _failed;
    private readonly Action<LogPosition> _durable;
    private JournalWriter? _journal;
    private LogPosition _lastDurable;
    private ulong _awaited;
    private ulong _handedOver;
    private volatile WriteRefusal? _refusal;

    public JournalLog(Action<LogPosition> durable, Action<JournalFailure, Exception, LogPosition> failed)
    {
        _durable = durable;
        _failed = failed;
    }

    /// <summary>Called after each append that nobody waits for: somebody must hand it to the system by and by.</summary>
    public Action? UnawaitedAppended { get; set; }

    /// <summary>The journal, from <see cref="Attach"/> to <see cref="Detach"/>.</summary>
    public JournalWriter Journal
    {
        get
        {
            Check.That(_journal is not null);
            return _journal;
        }
    }

    public bool IsAttached => _journal is not null;

    public WriteRefusal? Refusal => _refusal;

    public bool IsStopped => _journal is { } journal && journal.Failure != JournalFailure.None;

    public LogPosition AppendedPosition => Journal.AppendedPosition;

    public LogPosition AwaitedPosition => new(Volatile.Read(ref _awaited));

    public LogPosition DurablePosition => _journal?.DurablePosition ?? _lastDurable;

    public long RetainedBytes => Journal.RetainedBytes;

    public JournalStatistics Statistics => Journal.Statistics;

    public void Attach(JournalWriter journal)
    {
        Check.That(_journal is null);
        _journal = journal;
        _awaited = 0;
        _handedOver = 0;
        _refusal = null;
        journal.Listener = this;
    }

    public JournalWriter Detach()
    {
        JournalWriter journal = Journal;
        journal.Listener = null;
        _lastDurable = journal.DurablePosition;
        _journal = null;
        return journal;
    }

    public LogPosition Append(ReadOnlySpan<byte> payload, Durability durability)
    {
        LogPosition position = Journal.Append(payload);
        if (durability == Durability.Sync)
        {
            Volatile.Write(ref _awaited, position.Value);
        }
        else
        {
            if (durability == Durability.Interval)
                Volatile.Write(ref _handedOver, position.Value);
            UnawaitedAppended?.Invoke();
        }

        return position;
    }

    public void Commit()
    {
        JournalWriter journal = Journal;
        if (_refusal is not null && IsStopped)
            return;
        if (Volatile.Read(ref _awaited) > journal.DurablePosition.Value)
            journal.RequestCommit(sync: true);
        else if (Volatile.Read(ref _handedOver) > journal.WrittenPosition.Value)
            HandOver(journal);
        else if (journal.AppendedPosition.Value - journal.WrittenPosition.Value >= EagerWriteBytes)
            journal.RequestCommit(sync: false);
    }

    public void CommitInline()
    {
        JournalWriter journal = Journal;
        if (_refusal is not null && IsStopped)
            return;
        if (Volatile.Read(ref _awaited) > journal.DurablePosition.Value)
            CommitNow(journal);
        else if (Volatile.Read(ref _handedOver) > journal.WrittenPosition.Value)
            HandOver(journal);
    }

    private static void CommitNow(JournalWriter journal)
    {
        try
        {
            journal.Commit(sync: true);
        }
        catch (WritesStoppedException)
        {
            // The listeners have heard of it.
        }
    }

    /// <summary>Hands to the system what nobody waits for; with <paramref name="sync"/>, makes it durable, too.</summary>
    public void CommitUnawaited(bool sync)
    {
        JournalWriter journal = Journal;
        if (_refusal is not null && IsStopped)
            return;
        sync |= journal.AppendedPosition.Value - journal.DurablePosition.Value >= UnsyncedBytesMax;
        LogPosition reached = sync ? journal.DurablePosition : journal.WrittenPosition;
        if (journal.AppendedPosition > reached)
            journal.RequestCommit(sync);
    }

    /// <summary>Makes what was appended durable though nobody waits for it. Any thread; returns at once.</summary>
    public void RequestSync()
    {
        if (!IsStopped && _journal is { } journal && journal.AppendedPosition > journal.DurablePosition)
            journal.RequestCommit(sync: true);
    }

    // Before its answer leaves, so that a killed process loses none of it; but nobody waits behind a sync or for a new segment.
    private static void HandOver(JournalWriter journal)
    {
        if (!journal.TryWrite())
            journal.RequestCommit(sync: false);
    }

    /// <summary>Refuses writes for a reason of the node's own (null: only the journal's).</summary>
    public void Refuse(WriteRefusal? refusal) => _refusal = refusal;

    /// <summary>After a full disk: true when writes are taken again.</summary>
    public bool TryResume()
    {
        if (!TryResumeRefusing())
            return false;
        _refusal = null;
        return true;
    }

    /// <summary>As <see cref="TryResume"/>, for those who may write although writes are refused.</summary>
    public bool TryResumeRefusing() => Journal.Failure != JournalFailure.DiskFailed && Journal.TryResume();

    void IJournalListener.Durable(LogPosition position) => _durable(position);

    void IJournalListener.Failed(JournalFailure failure, Exception cause, LogPosition durable)
    {
        _refusal = (failure, cause) switch
        {
            (JournalFailure.DiskFull, _) => new WriteRefusal(
                WriteRefusal.FullDisk, "disk full: writes are refused and reads go on; free some space and writes resume by themselves. " + cause.Message),
            (_, FolderLostException) => new WriteRefusal(
                "IOERR", $"{cause.Message}; writes are refused and reads go on as far as they can: put it back, then restart"),
            _ => new WriteRefusal("IOERR", "the disk failed: writes are refused and reads of what is durable go on; check the disk, then restart. " + cause.Message),
        };
        _failed(failure, cause, durable);
    }
}
