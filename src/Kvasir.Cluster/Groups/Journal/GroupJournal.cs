using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// The durable logs of all Raft groups of a node, in one journal (docs/formats/group-journal.md). What the groups ask to be
/// persisted in a turn is gathered and goes out as one record, under one sync.
/// <para>
/// <b>Threads.</b> For the thread that runs the node's mailbox, except for what is said to be for any. The callbacks come
/// from the thread that commits.
/// </para>
/// <para>
/// <b>Failure.</b> After any failure of the disk nothing is written or reported durable. When the disk was full it goes on
/// with <see cref="Resume"/>, once <see cref="TryMakeRoom"/> has found room; else not before the journal is opened anew.
/// </para>
/// </summary>
internal sealed partial class GroupJournal : IJournalListener, IDisposable
{
    // A record is read as a whole where one entry of it is wanted, so many groups' entries are not put into one without end.
    private const int RecordBytesWanted = 1 << 20;

    private readonly IScheduler _scheduler;
    private readonly NodeId _self;
    private readonly Action<LogPosition> _durable;
    private readonly Action<JournalFailure, Exception> _failed;
    private readonly JournalWriter _journal;
    private readonly EntryWalk _walk;
    private readonly Dictionary<GroupId, GroupLog> _logs = [];

    // The same logs by their numbers: what is written depends on the order.
    private readonly SortedList<GroupId, GroupLog> _ordered = [];
    private readonly BytesBuffer _record = new(4096);
    private readonly BytesBuffer _section = new();
    private readonly List<Gathered> _gathered = [];
    private ulong _recordNumber = 1;
    private LogPosition _lastWritten;
    private ulong _durableTo;
    private bool _isProbing;
    private volatile bool _stopped;

    private GroupJournal(
        IScheduler scheduler,
        JournalWriter journal,
        NodeId self,
        SortedList<GroupId, RaftRecovery> recovered,
        IEnumerable<GroupLog> logs,
        Action<LogPosition> durable,
        Action<JournalFailure, Exception> failed)
    {
        _scheduler = scheduler;
        _self = self;
        _durable = durable;
        _failed = failed;
        _journal = journal;
        _walk = new EntryWalk(journal);
        _lastWritten = journal.AppendedPosition;
        _durableTo = journal.DurablePosition.Value;
        _trimJob = new TrimJob(this);
        Recovered = recovered;
        foreach (GroupLog log in logs)
        {
            Keep(log);
            log.OnDisk.Recovered(log);
        }

        journal.Listener = this;
    }

    /// <summary>
    /// What the members of the groups with a log here are made from, but for what their engines have applied. As the journal
    /// was opened; all of it is durable.
    /// </summary>
    public SortedList<GroupId, RaftRecovery> Recovered { get; }

    /// <summary>Tells this journal from every other.</summary>
    public ulong JournalId => _journal.JournalId;

    public LogPosition AppendedPosition => _journal.AppendedPosition;

    /// <summary>All that was written up to here is on stable storage. Any thread.</summary>
    public LogPosition DurablePosition => new(Volatile.Read(ref _durableTo));

    /// <summary>Any thread.</summary>
    public JournalFailure Failure => _journal.Failure;

    /// <summary>Nothing is written: the disk has failed, or was full. Any thread.</summary>
    public bool IsStopped => _stopped;

    /// <summary>Any thread.</summary>
    public long RetainedBytes => _journal.RetainedBytes;

    /// <summary>How often entries that were read back came from the files, and how many bytes were read for them.</summary>
    public (long Times, long Bytes) Readings => _walk.Readings;

    /// <summary>Why the last <see cref="TryRead"/> gave less than was asked for; null where the disk is not to blame.</summary>
    public StorageException? ReadFailure => _walk.Failure;

    /// <summary>The newest segment that could not be read and is there still: a start would refuse it.</summary>
    public UnreadableSegment? Unreadable => _walk.Unreadable is { } lost && _journal.IsRetained(lost.Number) ? lost : null;

    /// <summary>Any thread.</summary>
    public JournalStatistics Statistics => _journal.Statistics;

    /// <summary>
    /// Opens the journal in <paramref name="folder"/>, making it when there is none, and reads all of it. What does not fit
    /// together stops the start.
    /// </summary>
    public static GroupJournal Open(
        IFileSystem files,
        IScheduler scheduler,
        string folder,
        JournalOptions options,
        NodeId self,
        Action<LogPosition> durable,
        Action<JournalFailure, Exception> failed)
    {
        Check.That(!self.IsNone);
        var replay = new GroupsReplay(folder);
        JournalWriter journal = JournalWriter.Open(files, scheduler, folder, options, LogPosition.Zero, replay.Record);
        try
        {
            SortedList<GroupId, RaftRecovery> recovered = replay.ToRecoveries(self);
            return new GroupJournal(scheduler, journal, self, recovered, replay.Logs, durable, failed);
        }
        catch
        {
            journal.Dispose();
            throw;
        }
    }

    /// <summary>A replica was here and is gone: only its generation, its term and its vote are kept.</summary>
    public bool IsRemoved(GroupId group) => _logs.TryGetValue(group, out GroupLog? log) && log.IsRemoved;

    /// <summary>Of the replica that is here, or of the last one that was; zero, too, where there was none.</summary>
    public uint GenerationOf(GroupId group) => _logs.TryGetValue(group, out GroupLog? log) ? log.Generation : 0;

    /// <summary>What the files of the replica that is here must hold.</summary>
    public EngineMark NeededOf(GroupId group) => _logs.TryGetValue(group, out GroupLog? log) ? log.Engine : default;

    /// <summary>
    /// The first trace of a replica that its group is founded with, in the next record; and what its member is made from.
    /// </summary>
    public RaftRecovery Found(GroupId group, Configuration configuration) =>
        Begin(group, 0, new ConfigurationEntry(LogIndex.Zero, Term.Zero, configuration));

    /// <summary>
    /// The first trace of a replica that joins its group and knows nothing of it, in the next record; and what its member is
    /// made from: where an earlier replica was removed, with the term and the vote that it promised.
    /// </summary>
    public RaftRecovery Join(GroupId group, uint generation = 0) =>
        Begin(group, generation, new ConfigurationEntry(LogIndex.Zero, Term.Zero, Configuration.Empty));

    /// <summary>The replica goes, in the next record: its log is forgotten, its term and vote stay.</summary>
    public void Remove(GroupId group)
    {
        GroupLog log = _logs[group];
        Check.That(!log.IsRemoved, $"group {group} was removed before");
        if (log.GatheredIn == _recordNumber)
            Write();
        log.Remove(log.HardState);
        GatherGeneration(log);
        GatherHardState(log, SectionKind.Removal);
        Note(log, LogChangeKinds.Ends, anchors: true);
    }

    /// <summary>
    /// Gathers what a group asks for. <paramref name="snapshotConfiguration"/> is the one in force at the snapshot that the
    /// log begins with from now on, where the request says that it does, and <paramref name="snapshotFlushed"/> how far the files
    /// that it was put into count.
    /// </summary>
    public void Add(
        GroupId group, in PersistRequest request, IEntryBytes entries, ConfigurationEntry? snapshotConfiguration = null, LogPosition snapshotFlushed = default)
    {
        if (request.IsNone)
            return;
        if (!_logs.TryGetValue(group, out GroupLog? log) || log.IsRemoved)
        {
            Join(group, GenerationOf(group));
            log = _logs[group];
        }

        // Within one record the log only grows: entries that are truncated or replaced lie in an earlier one.
        bool cuts = request.ResetsLog || request.TruncateFrom > LogIndex.Zero;
        if (_record.Length >= RecordBytesWanted || (cuts && log.GatheredIn == _recordNumber))
            Write();
        bool anchors = false;
        if (request.HardState != log.HardState)
        {
            log.SetHardState(request.HardState);
            if (!request.ResetsLog)
                GatherHardState(log, SectionKind.HardState);
        }

        if (request.ResetsLog)
        {
            Check.That(snapshotConfiguration is not null, $"group {group}: a snapshot without its configuration");
            log.Reset(request.SnapshotIndex, request.SnapshotTerm, snapshotConfiguration.Value);
            log.Need(EngineMark.For(request.SnapshotIndex, snapshotFlushed, request.SnapshotIndex));
            GatherGeneration(log);
            GatherDescriptor(log, SectionKind.Reset);
            anchors = true;
        }

        if (request.TruncateFrom > LogIndex.Zero)
        {
            Check.That(
                request.TruncateFrom > log.BaseIndex && request.TruncateFrom <= log.LastIndex,
                $"group {group}: truncation from {request.TruncateFrom} of the log from {log.BaseIndex} to {log.LastIndex}");
            log.TruncateFrom(request.TruncateFrom);
            GatherTruncation(log, request.TruncateFrom);
        }

        LogChangeKinds kinds = request.ResetsLog ? LogChangeKinds.Resets : LogChangeKinds.None;
        if (!request.HasEntries)
        {
            Note(log, kinds, anchors, cutFrom: request.TruncateFrom);
            return;
        }

        Check.That(request.First == log.LastIndex.Next, $"group {group}: entries from {request.First} on behind {log.LastIndex}");
        int bytes = EntriesSection.Append(_record, group, request.First, request.Last, entries);
        log.Append(request.Last);
        Note(log, kinds, anchors, request.TruncateFrom, request.First, bytes);
    }

    /// <summary>
    /// Has the next <see cref="Write"/> write a record even if nothing is gathered, so that a sync behind it is a sign of
    /// life of the disk.
    /// </summary>
    public void Probe() => _isProbing = true;

    /// <summary>
    /// Appends what was gathered as one record. Its position, or that of the last one when nothing was; the largest number,
    /// which is never durable, after a failure.
    /// </summary>
    public LogPosition Write()
    {
        if (_record.Length == 0 && !_isProbing)
            return _stopped ? LogPosition.Max : _lastWritten;
        LogPosition position = TryAppend();
        ulong start = JournalReader.StartOf(position, _record.Length).Value;
        LogPosition durable = DurablePosition;
        foreach (Gathered gathered in _gathered)
        {
            gathered.Log.OnDisk.Changed(new LogChange(position, gathered.Kinds, gathered.From, gathered.Last, gathered.Generation), durable);
            if (position == LogPosition.Max)
                continue;
            if (gathered.Anchors)
                gathered.Log.AnchoredAt(start);
            if (gathered.First > LogIndex.Zero)
                gathered.Log.Written(gathered.First, gathered.Last, start, gathered.Bytes);
        }

        _record.ClearAndTrim(RecordBytesWanted * 2);
        _gathered.Clear();
        _recordNumber++;
        _isProbing = false;
        return position;
    }

    private LogPosition TryAppend()
    {
        if (_stopped)
            return LogPosition.Max;
        try
        {
            return _lastWritten = _journal.Append(_record.WrittenSpan);
        }
        catch (WritesStoppedException)
        {
            // The failure itself has been told.
            return LogPosition.Max;
        }
    }

    /// <summary>Has all that was written made durable, in the background. Any thread.</summary>
    public void RequestSync()
    {
        if (!_stopped && _journal.AppendedPosition > _journal.DurablePosition)
            _journal.RequestCommit(sync: true);
    }

    /// <summary>Makes all that was written durable, on the calling thread. Any thread.</summary>
    public void SyncInline()
    {
        if (_stopped || _journal.AppendedPosition <= _journal.DurablePosition)
            return;
        try
        {
            _journal.Commit(sync: true);
        }
        catch (WritesStoppedException)
        {
            // The failure itself has been told.
        }
    }

    /// <summary>
    /// Gives the entries from <paramref name="first"/> on to the sink, as far as <paramref name="last"/>; with a bound, until they have
    /// <paramref name="bytesMax"/> bytes or lie far apart, but at least one. False, and none given, when that entry is compacted away or has
    /// not been handed to the system yet.
    /// </summary>
    public bool TryRead(GroupId group, LogIndex first, LogIndex last, long bytesMax, IEntrySink sink)
    {
        Check.That(first > LogIndex.Zero && last >= first);
        if (!_logs.TryGetValue(group, out GroupLog? log) || first <= log.BaseIndex || first > log.LastIndex)
            return false;
        return _walk.TryRead(log, first, LogIndex.Least(last, log.LastIndex), bytesMax, sink);
    }

    /// <summary>
    /// How many entries from <paramref name="first"/> on have together at most <paramref name="bytesMax"/> bytes, as far as
    /// that is known without reading them: the mean of a few of them is counted for each.
    /// </summary>
    public LogIndex Fit(GroupId group, LogIndex first, LogIndex last, long bytesMax, out long bytes)
    {
        bytes = 0;
        return _logs.TryGetValue(group, out GroupLog? log) ? log.Points.Fit(first, last, bytesMax, out bytes) : first;
    }

    /// <summary>Bytes of the group's entries from this one on that are in the journal, about, known without reading them.</summary>
    public long BytesFrom(GroupId group, LogIndex first) =>
        _logs.TryGetValue(group, out GroupLog? log) ? log.Points.BytesFrom(LogIndex.Greatest(first, log.BaseIndex.Next)) : 0;

    /// <summary>Writes what is gathered, syncs, and closes.</summary>
    public void Dispose()
    {
        Write();
        _journal.Dispose();
        _walk.Dispose();
    }

    void IJournalListener.Durable(LogPosition position)
    {
        if (_stopped)
            return;
        ulong seen = Volatile.Read(ref _durableTo);
        while (position.Value > seen)
        {
            ulong now = Interlocked.CompareExchange(ref _durableTo, position.Value, seen);
            if (now == seen)
                break;
            seen = now;
        }

        TrimWhenDurable(position);
        _durable(position);
    }

    void IJournalListener.Failed(JournalFailure failure, Exception cause, LogPosition durable)
    {
        // A disk that was full may fail while room is looked for: then it does not go on by itself, and that must be told.
        if (_stopped && failure == JournalFailure.DiskFull)
            return;
        _stopped = true;
        _failed(failure, cause);
    }

    private RaftRecovery Begin(GroupId group, uint generation, in ConfigurationEntry configuration)
    {
        Check.That(!group.IsNone);
        if (!_logs.TryGetValue(group, out GroupLog? log))
            Keep(log = new GroupLog(group));
        else
            Check.That(log.IsRemoved && generation >= log.Generation, $"group {group} has a log here, or had a later one");
        log.Generation = generation;
        log.Describe(new LogDescriptor(log.HardState, LogIndex.Zero, Term.Zero, LogIndex.Zero, configuration));
        GatherGeneration(log);
        GatherDescriptor(log, SectionKind.Descriptor);
        Note(log, LogChangeKinds.Begins, anchors: true);
        return new RaftRecovery
        {
            Id = GroupMember.Of(_self, generation),
            HardState = log.HardState,
            Configurations = configuration.Configuration.Voters.Length > 0 ? [configuration] : [],
        };
    }

    private void Keep(GroupLog log)
    {
        _logs.Add(log.Id, log);
        _ordered.Add(log.Id, log);
    }

    /// <summary>A section of the log is in the record that is gathered, or several.</summary>
    /// <param name="log">As it is behind it.</param>
    /// <param name="kinds">What happened to it as a whole.</param>
    /// <param name="anchors">From here on it is known without what came before, but for its entries.</param>
    /// <param name="cutFrom">Where it was truncated; zero: it was not.</param>
    /// <param name="first">The first of its new entries; zero: there are none.</param>
    /// <param name="bytes">Of these.</param>
    private void Note(GroupLog log, LogChangeKinds kinds, bool anchors, LogIndex cutFrom = default, LogIndex first = default, int bytes = 0)
    {
        log.GatheredIn = _recordNumber;
        LogIndex from = cutFrom > LogIndex.Zero ? cutFrom : first > LogIndex.Zero ? first : LogIndex.Max;
        _gathered.Add(new Gathered(log, kinds, anchors, from, first, log.LastIndex, log.Generation, bytes));
    }

    private void GatherGeneration(GroupLog log) => GatherGeneration(log, log.Generation);

    private void GatherGeneration(GroupLog log, uint generation)
    {
        if (generation == 0)
            return;
        Span<byte> section = stackalloc byte[1 + Varint.MaxLength32];
        section[0] = (byte)SectionKind.Generation;
        int at = 1 + Varint.Write(section[1..], generation);
        JournalPayload.AppendEntry(_record, log.Id.Value, section[..at]);
    }

    private void GatherDescriptor(GroupLog log, SectionKind kind)
    {
        GatherDescriptor(log, kind, log.Descriptor);
    }

    private void GatherDescriptor(GroupLog log, SectionKind kind, in LogDescriptor descriptor)
    {
        Check.That(descriptor.IsSound, $"group {log.Id}: {descriptor}");
        _section.Clear();
        _section.Append((byte)kind);
        descriptor.WriteTo(_section);
        JournalPayload.AppendEntry(_record, log.Id.Value, _section.WrittenSpan);

        // Not behind one that only leads to a reset.
        if (log.Engine.IsNone || descriptor.BaseIndex != log.BaseIndex)
            return;
        _section.Clear();
        _section.Append((byte)SectionKind.Engine);
        log.Engine.WriteTo(_section);
        JournalPayload.AppendEntry(_record, log.Id.Value, _section.WrittenSpan);
    }

    private void GatherHardState(GroupLog log, SectionKind kind)
    {
        Span<byte> section = stackalloc byte[1 + (2 * Varint.MaxLength64)];
        section[0] = (byte)kind;
        int at = 1 + Varint.Write(section[1..], log.HardState.Term.Value);
        at += Varint.Write(section[at..], log.HardState.Vote.Value);
        JournalPayload.AppendEntry(_record, log.Id.Value, section[..at]);
    }

    private void GatherTruncation(GroupLog log, LogIndex from)
    {
        Span<byte> section = stackalloc byte[1 + Varint.MaxLength64];
        section[0] = (byte)SectionKind.Truncation;
        int at = 1 + Varint.Write(section[1..], from.Value);
        JournalPayload.AppendEntry(_record, log.Id.Value, section[..at]);
    }

    /// <summary>What the record that is gathered means for a log, once its place is known.</summary>
    private readonly record struct Gathered(
        GroupLog Log, LogChangeKinds Kinds, bool Anchors, LogIndex From, LogIndex First, LogIndex Last, uint Generation, int Bytes);
}
