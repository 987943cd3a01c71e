using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups.Journal;

/// <content>
/// Going on after a full disk. The records that it dropped never reached it and were never reported, so to the groups it is as
/// a disk that takes very long: what they asked for is written again, as it stands now.
/// </content>
internal sealed partial class GroupJournal
{
    /// <summary>
    /// After a full disk: true when there is room for records again, and <see cref="Resume"/> may be called. Takes the time of
    /// the disk. Any thread.
    /// </summary>
    public bool TryMakeRoom() => _journal.Failure != JournalFailure.DiskFailed && _journal.TryResume();

    /// <inheritdoc cref="JournalWriter.GiveUp"/>
    public void GiveUp(Exception cause) => _journal.GiveUp(cause);

    /// <summary>
    /// Writes again what was lost of each log, and takes records from now on. The position of the last of these: what is durable
    /// up to there has everything that was handed in before. The largest number when the disk is full once more.
    /// </summary>
    /// <param name="entriesOf">Where the bytes of a group's entries come from that are not durable.</param>
    public LogPosition Resume(Func<GroupId, IEntryBytes> entriesOf)
    {
        Check.That(_stopped && _record.Length == 0, $"the journal is not one that waits for room");
        var lost = new List<(GroupLog Log, LogChange Change)>();
        foreach (GroupLog log in _ordered.Values)
        {
            if (log.OnDisk.TakeLost(DurablePosition) is { } change)
                lost.Add((log, change));
        }

        // Descriptors that were to be durable before segments go were lost with the rest.
        Interlocked.CompareExchange(ref _trimState, TrimState.Idle, TrimState.Described);
        _stopped = false;
        foreach ((GroupLog log, LogChange change) in lost)
        {
            if (_record.Length >= RecordBytesWanted)
                Write();
            WriteAgain(log, change, entriesOf);
        }

        Probe();
        return Write();
    }

    /// <summary>From what the disk has of the log to what it is now, all of it in one record.</summary>
    private void WriteAgain(GroupLog log, in LogChange lost, Func<GroupId, IEntryBytes> entriesOf)
    {
        bool isAnother = lost.Is(LogChangeKinds.Begins | LogChangeKinds.Ends);
        bool isLive = log.OnDisk is { Exists: true, IsRemoved: false };
        if (isLive)
            GatherHardState(log, SectionKind.HardState);
        if (isLive && isAnother)
        {
            GatherGeneration(log, log.OnDisk.Generation);
            GatherHardState(log, SectionKind.Removal);
        }

        if (log.IsRemoved)
        {
            // Its promises may be newer than those that the disk knows; only a replica that is there can make them.
            if (!isLive || log.OnDisk.Generation != log.Generation)
            {
                GatherGeneration(log);
                GatherDescriptor(log, SectionKind.Descriptor, GroupLog.Nothing(log.HardState));
                GatherGeneration(log);
                GatherHardState(log, SectionKind.Removal);
            }

            Note(log, LogChangeKinds.Ends, anchors: true);
            return;
        }

        LogIndex from = log.BaseIndex.Next;
        if (isAnother)
            GatherGeneration(log);
        if (isAnother)
            GatherDescriptor(log, SectionKind.Descriptor, lost.Is(LogChangeKinds.Resets) ? GroupLog.Nothing(log.HardState) : log.Descriptor with { LastIndex = LogIndex.Zero });
        if (lost.Is(LogChangeKinds.Resets))
        {
            GatherGeneration(log);
            GatherDescriptor(log, SectionKind.Reset, log.Descriptor with { LastIndex = log.BaseIndex });
            log.Points.Clear();
        }
        else if (isAnother)
        {
            log.Points.Clear();
        }
        else
        {
            Check.That(lost.From > log.BaseIndex, $"group {log.Id}: entry {lost.From} is lost and compacted behind {log.BaseIndex}");
            from = lost.From;
            log.Points.TruncateFrom(from);
            if (from <= log.OnDisk.Last)
                GatherTruncation(log, from);
        }

        bool hasEntries = from <= log.LastIndex;
        int bytes = hasEntries ? EntriesSection.Append(_record, log.Id, from, log.LastIndex, entriesOf(log.Id)) : 0;
        if (!isAnother && !lost.Is(LogChangeKinds.Resets))
        {
            GatherGeneration(log);
            GatherDescriptor(log, SectionKind.Descriptor);
        }

        Note(log, lost.Kinds & ~LogChangeKinds.Ends, anchors: true, lost.From == LogIndex.Max ? LogIndex.Zero : lost.From, hasEntries ? from : LogIndex.Zero, bytes);
    }
}
