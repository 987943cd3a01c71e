using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Groups.Journal;

/// <content>Letting go of what the engines have.</content>
internal sealed partial class GroupJournal
{
    private readonly TrimJob _trimJob;

    // Written before the state says that they hold.
    private LogPosition _trimAfter;
    private LogPosition _trimBefore;
    private int _trimState;

    /// <summary>
    /// The entries of the group up to here are not needed: its engine has made durable what they did, and no follower waits
    /// for them. With the term there, the configuration in force, and what the engine's files hold, which a start demands of them
    /// from then on.
    /// </summary>
    public void Compacted(GroupId group, LogIndex index, Term term, ConfigurationEntry configuration, EngineMark engine)
    {
        GroupLog log = _logs[group];
        if (index <= log.BaseIndex)
            return;
        Check.That(index <= log.LastIndex, $"group {group}: compaction to {index}, behind the log's end at {log.LastIndex}");
        Check.That(configuration.Index <= index && configuration.Term <= term && term <= log.HardState.Term);
        log.Compact(index, term, configuration);
        if (!engine.IsNone)
            log.Need(engine);
    }

    /// <summary>
    /// Lets go of the segments that hold nothing but what is compacted, soon and in the background. What else they hold, the
    /// descriptors of groups that have written little since, is written again first; they go once that is durable, so a
    /// group that rests holds nothing back. Returns the group whose entries reach back the furthest: who wants the journal to
    /// be shorter has its engine flush, and says so by <see cref="Compacted"/>. Nobody where no entries are needed.
    /// </summary>
    public GroupId TrimNow()
    {
        _walk.Rest();
        Write();
        GroupId holder = GroupId.None;
        ulong needed = _journal.AppendedPosition.Value;
        foreach (GroupLog log in _ordered.Values)
        {
            if (log.NeededFrom >= needed)
                continue;
            needed = log.NeededFrom;
            holder = log.Id;
        }

        // Records are named by the place behind them: the one that ends where the first needed one begins is not needed.
        var before = new LogPosition(needed + 1);
        if (_stopped || Volatile.Read(ref _trimState) != TrimState.Idle || !_journal.HoldsSegmentsBefore(before))
            return holder;
        foreach (GroupLog log in _ordered.Values)
        {
            if (log.HeldFrom < needed)
                GatherAgain(log);
        }

        LogPosition described = Write();
        if (described == LogPosition.Max)
            return holder;
        _trimAfter = described;
        _trimBefore = before;
        Volatile.Write(ref _trimState, TrimState.Described);

        // It may have become durable before this was said.
        TrimWhenDurable(DurablePosition);
        RequestSync();
        return holder;
    }

    /// <summary>The group has entries that lie in what cannot be read, or before: a start would ask for them.</summary>
    public bool NeedsUnreadable(GroupId group) =>
        Unreadable is { } lost && _logs.TryGetValue(group, out GroupLog? log) && log.NeededFrom < lost.End;

    /// <summary>To get this entry what cannot be read would have to be.</summary>
    public bool IsUnreadable(GroupId group, LogIndex index) =>
        Unreadable is { } lost && _logs.TryGetValue(group, out GroupLog? log) && log.Points.TryFind(index, out ulong start, out _) && start < lost.End;

    private void GatherAgain(GroupLog log)
    {
        GatherGeneration(log);
        if (log.IsRemoved)
            GatherHardState(log, SectionKind.Removal);
        else
            GatherDescriptor(log, SectionKind.Descriptor);
        Note(log, LogChangeKinds.None, anchors: true);
    }

    private void TrimWhenDurable(LogPosition durable)
    {
        if (Volatile.Read(ref _trimState) == TrimState.Described && durable >= _trimAfter
            && Interlocked.CompareExchange(ref _trimState, TrimState.Scheduled, TrimState.Described) == TrimState.Described)
            _scheduler.Schedule(_trimJob, JobPriority.Upkeep);
    }

    private static class TrimState
    {
        public const int Idle = 0;

        /// <summary>The descriptors are written; segments go when they are durable.</summary>
        public const int Described = 1;

        public const int Scheduled = 2;
    }

    private sealed class TrimJob(GroupJournal owner) : IBackgroundJob
    {
        public string Name => "group journal trimming";

        public void Run()
        {
            if (!owner._stopped)
                owner._journal.TrimBefore(owner._trimBefore);
            Volatile.Write(ref owner._trimState, TrimState.Idle);
        }
    }
}
