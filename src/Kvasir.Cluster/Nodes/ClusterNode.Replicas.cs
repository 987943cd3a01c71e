using System.Collections.Immutable;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>Which replicas are here: those that the directory wants, those that are still needed, and the directory's own.</summary>
public sealed partial class ClusterNode
{
    // Opened in one item of the mailbox, since each makes files and syncs them: so many, or fewer where the disk takes its time.
    private const int OpenedAtOnceMax = 4;
    private static readonly TimeSpan s_openingMax = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_openingPause = TimeSpan.FromMilliseconds(1);

    // One that could not be opened; the disk may have room by then.
    private static readonly TimeSpan s_openAgainAfter = TimeSpan.FromSeconds(1);

    private readonly ReplicaFolders _folders;

    // With the record that says so.
    private readonly List<(GroupId Group, LogPosition Position)> _leaving = [];

    // Wanted here, and not opened: when that was tried last, and why it came to nothing.
    private readonly SortedList<GroupId, (TimeSpan At, string Why)> _unopened = [];
    private SnapshotCourier? _snapshots;
    private DirectoryView? _arranged;
    private bool _arrangedFresh;
    private bool _opensLater;
    private bool _hasSaidOfDatabases;
    private TimeSpan _startedAt;

    /// <summary>The directory first, which says of the others what they are.</summary>
    private void OpenReplicas(GroupHost host, ClusterMembership membership)
    {
        _host = host;
        GroupJournal journal = host.Journal;
        _folders.RemoveOutgoing();
        _snapshots = new SnapshotCourier(
            host, Transport, _folders, Mailbox, _environment.Scheduler, _random.Fork(), _options.SnapshotBytesPerSecond, Warn);
        host.Snapshots = _snapshots;
        host.ReplicaReplacing = ReplicaReplacing;
        host.ReplicaStopped = ReplicaStopped;
        var keyspace = new KeyspaceOptions { Name = KeyspaceFolders.SystemName, Engine = _options.Engine };
        if (journal.Recovered.TryGetValue(GroupId.Directory, out RaftRecovery? directory))
            _directory = Reopen(GroupId.Directory, directory, keyspace);
        else if (membership.IsFounder)
            _directory = Found(GroupId.Directory, [membership.Node], keyspace);
        else
            _directory = Join(GroupId.Directory, generation: 0, keyspace);
        _records = ReadRecords(_directory.Replica.Engine, keyspace.Engine);
        _directory.Watcher = DirectoryApplied;
        _desk = new DirectoryDesk(_directory, () => _records);
        _folders.RemoveAll(journal.IsRemoved);
        foreach ((GroupId id, RaftRecovery recovery) in journal.Recovered)
        {
            if (id != GroupId.Directory)
                Reopen(id, recovery, OptionsOf(id));
        }

        Rearrange();
    }

    private void DirectoryApplied(LogIndex index, ReadOnlySpan<byte> payload)
    {
        var reader = new JournalPayloadReader(payload);
        while (reader.MoveNext())
        {
            if (reader.StreamId != EntryNotes.Stream)
                _records!.ApplyBatch(reader.Bytes);
        }

        _rearrangeItem.Post();
    }

    /// <summary>The directory may want other replicas here than there are.</summary>
    private void Rearrange()
    {
        DirectoryView view = View;
        bool isFresh = IsViewFresh();
        if (_host is null || (ReferenceEquals(view, _arranged) && isFresh == _arrangedFresh))
            return;
        FollowPeers(view, isFresh);
        if (!TryOpen(view, isFresh, out bool isWhole))
        {
            // Where others follow, routes to what is here of them are made by the clock: all are looked at for that.
            if (!_opensLater || !_router.Has(view))
                _router.Rebuild(view);
            return;
        }

        foreach (RaftGroup group in _host.Groups.ToArray())
        {
            if (DutyOf(view, group.Id, isFresh) == ReplicaDuty.Remove)
                RemoveReplica(group);
        }

        // One that was opened before its keyspace was known.
        foreach (RaftGroup group in _host.Groups)
        {
            if (group != _directory && KnownOptionsOf(group.Id) is { } known && known with { Engine = group.Replica.Options.Engine } is var options
                && options != group.Replica.Options)
                group.Replica.Options = options;
        }

        ReckonLimits();
        if (isWhole)
            (_arranged, _arrangedFresh) = (view, isFresh);
        _router.Rebuild(view);
        LookAfterNews();
        if (isFresh)
            SayOfDatabases(view);
    }

    /// <summary>
    /// Opens some of the replicas that are wanted here; false when there are more. The others are opened by another thread, since the one that
    /// runs the mailbox may have connections or the journal to look after; and behind a pause, since this node's groups hold
    /// elections and keep leases meanwhile. Not whole: some cannot be opened for now; they hold up no others, and those that are to go still
    /// go, which may give the room that is lacking.
    /// </summary>
    private bool TryOpen(DirectoryView view, bool isFresh, out bool isWhole)
    {
        isWhole = true;
        if (_opensLater)
            return false;
        long began = Time.GetTimestamp();
        int opened = 0;
        foreach (GroupRecord record in view.Groups)
        {
            ReplicaDuty duty = DutyOf(view, record.Id, isFresh);
            if (duty is not (ReplicaDuty.Found or ReplicaDuty.Join))
                continue;
            if (_unopened.TryGetValue(record.Id, out (TimeSpan At, string Why) failed) && _host!.Now() - failed.At < s_openAgainAfter)
            {
                isWhole = false;
                continue;
            }

            if (opened == OpenedAtOnceMax || (opened > 0 && Time.GetElapsedTime(began) >= s_openingMax))
            {
                _opensLater = true;
                _openTimer.Change(s_openingPause, Timeout.InfiniteTimeSpan);
                return false;
            }

            bool isOpen = TryBegin(record, duty);
            isWhole &= isOpen;
            opened += isOpen ? 1 : 0;
        }

        return true;
    }

    private void SayOfDatabases(DirectoryView view)
    {
        if (_hasSaidOfDatabases || !_options.IsDatabaseCountAsked || view.Cluster is null)
            return;
        _hasSaidOfDatabases = true;
        int count = view.Keyspaces.Count(static k => k.Record.Database is not null);
        if (count != _options.DatabaseCount)
            Warn($"the cluster has {count} databases since it was founded, and databases {_options.DatabaseCount} changes nothing: make keyspaces instead (keyspace create)");
    }

    private ReplicaDuty DutyOf(DirectoryView view, GroupId group, bool isFresh)
    {
        ReplicaTrace trace = _host!.TryFind(group, out _) ? ReplicaTrace.Copy
            : _journal!.IsRemoved(group) ? ReplicaTrace.Removed
            : ReplicaTrace.None;
        if (trace == ReplicaTrace.Removed && _leaving.Exists(l => l.Group == group))
            return ReplicaDuty.Nothing;
        ReplicaDuty duty = ReplicaRule.Decide(view, Self, group, trace, _journal!.GenerationOf(group), isFresh);
        return duty == ReplicaDuty.Remove && IsLeftAlone(view, group) ? ReplicaDuty.Keep : duty;
    }

    /// <summary>What is applied of the directory is from after this process began.</summary>
    private bool IsViewFresh() =>
        _directory is { } directory
        && (directory.IsServing || (directory.TryAge(out TimeSpan age) && age < _host!.Now() - _startedAt));

    /// <summary>The directory had what the view has so long ago, and nothing else.</summary>
    internal TimeSpan ViewAge => _directory switch
    {
        { IsServing: true } leader => leader.MayRead() ? TimeSpan.Zero : TimeSpan.MaxValue,
        { } follower when follower.TryAge(out TimeSpan age) => age,
        _ => TimeSpan.MaxValue,
    };

    private bool TryBegin(GroupRecord record, ReplicaDuty duty)
    {
        try
        {
            if (duty == ReplicaDuty.Found)
                Found(record.Id, record.Founders, OptionsOf(record.Id));
            else
                Join(record.Id, record.MemberOn(Self).Generation, OptionsOf(record.Id));
            _unopened.Remove(record.Id);
            return true;
        }
        catch (StorageException e)
        {
            // Tried again by the clock, and said again when it is for another reason; what is here goes on.
            if (!_unopened.TryGetValue(record.Id, out (TimeSpan At, string Why) before) || before.Why != e.Message)
                Warn($"shard {record.Id} cannot be opened: {e.Message}; it is tried again");
            _unopened[record.Id] = (_host!.Now(), e.Message);
            return false;
        }
    }

    private RaftGroup Found(GroupId id, ImmutableArray<NodeId> founders, KeyspaceOptions keyspace)
    {
        IStorageEngine engine = OpenEngine(_folders.Begin(id), keyspace.Engine);
        return Begin(id, _journal!.Found(id, new Configuration([.. founders.Select(f => GroupMember.Of(f))])), keyspace, engine);
    }

    private RaftGroup Join(GroupId id, uint generation, KeyspaceOptions keyspace)
    {
        IStorageEngine engine = OpenEngine(_folders.Begin(id), keyspace.Engine);
        return Begin(id, _journal!.Join(id, generation), keyspace, engine);
    }

    private RaftGroup Begin(GroupId id, RaftRecovery recovery, KeyspaceOptions keyspace, IStorageEngine engine)
    {
        RaftGroup group = _host!.Open(id, recovery, keyspace, engine);
        group.Replica.Census.Clear();
        return group;
    }

    /// <summary>
    /// A replica that was here before. One whose files are damaged is stopped, and the others serve: what it has, others have, too. But
    /// not the directory's: without it the node knows nothing, and does not start.
    /// </summary>
    private RaftGroup Reopen(GroupId id, RaftRecovery recovery, KeyspaceOptions keyspace)
    {
        StateDifference? difference = null;
        string? damage = null;
        LogIndex snapshot = LogIndex.Zero;
        IStorageEngine engine;
        try
        {
            string folder = _folders.Locate(id, recovery.SnapshotIndex);
            snapshot = _folders.SnapshotOf(folder);
            difference = _folders.ReadStopped(folder);
            if (difference is null && _folders.IsDamaged(folder))
                damage = "its files were found to be damaged before";

            // The directory may not know the keyspace yet, or want another engine for it by now: the files tell.
            if (EngineIn(folder) is { } found)
                keyspace = keyspace with { Engine = found.Name };
            engine = id != GroupId.Directory && (difference?.ToString() ?? damage) is { } reason
                ? new UnopenedEngine(reason)
                : OpenFormer(id, recovery.SnapshotIndex, folder, keyspace.Engine);
        }
        catch (StorageException e) when (id != GroupId.Directory && e is CorruptionException or FileMissingException)
        {
            (difference, damage) = (null, e.Message);
            engine = new UnopenedEngine(damage);
        }

        RaftGroup group = _host!.Open(id, recovery, keyspace, engine, snapshot);
        if (difference is not null)
            group.StayStopped(difference);
        else if (damage is not null)
            group.StayDamaged(damage);
        return group;
    }

    /// <summary>
    /// What its files hold is looked at first: an engine that is opened removes those that a manifest without its end does not name, and
    /// other folders of the replica go then, too.
    /// </summary>
    private IStorageEngine OpenFormer(GroupId id, LogIndex logBase, string folder, string name)
    {
        IEngineFactory factory = FactoryOf(name);
        if (factory.FindMissing(Files, folder) is { } missing)
            throw new FileMissingException($"{missing} is missing, though the replica was there", inner: null);
        if (_journal!.NeededOf(id).Missing(_folders.SnapshotOf(folder), factory.ReadFlushedPosition(Files, folder)) is { } lost)
            throw new CorruptionException(folder, 0, lost);
        Check.That(_folders.Find(id, logBase) == folder);
        IStorageEngine engine = OpenEngine(folder, name);

        // It read for itself, and a misread may have sent it back to a state that it kept beside the last one.
        if (_journal!.NeededOf(id).Missing(_folders.SnapshotOf(folder), engine.FlushedPosition) is { } gone)
        {
            engine.Dispose();
            throw new CorruptionException(folder, 0, gone);
        }

        return engine;
    }

    private IStorageEngine OpenEngine(string folder, string name)
    {
        EngineEnvironment environment = new(Files, _environment.Scheduler, _memory)
        {
            KeepsDigest = true,
            TakesAll = true,
            LimitNears = text => Warn(text),

            // Followers, too: whoever leads next sweeps on.
            ExpiryHorizon = nowMs => SweepHorizon.At(nowMs, Log),
        };
        return FactoryOf(name).Open(folder, environment);
    }

    /// <summary>Its records lie in a range of its keys.</summary>
    private static DirectoryRecords ReadRecords(IStorageEngine engine, string name) => DirectoryRecords.Read(
        engine as IOrderedEngine ?? throw new StorageException($"the directory needs an ordered engine; {name} is not one"));

    private IEngineFactory? EngineIn(string folder) => _environment.Engines.FirstOrDefault(e => e.FindMissing(Files, folder) is null);

    private IEngineFactory FactoryOf(string name) => _environment.Engines.FirstOrDefault(e => e.Name == name)
        ?? throw new StorageException($"a shard wants the engine {name}, which this program does not have");

    /// <summary>A snapshot has put another engine in the place of the one that was there.</summary>
    private Action ReplicaReplacing(RaftGroup group, IStorageEngine engine)
    {
        if (group != _directory)
        {
            StopConversion(group);
            return () => _router.Rebuild(View);
        }

        DirectoryRecords records = ReadRecords(engine, group.Replica.Options.Engine);
        return () =>
        {
            _records = records;
            _arranged = null;
            _rearrangeItem.Post();
            _router.Rebuild(View);
        };
    }

    private void RemoveReplica(RaftGroup group)
    {
        Announcer?.Invoke($"shard {group.Id} is no longer kept here");
        _snapshots?.Closed(group);
        TryStopConversion(group);
        _ended.Remove(group.Id);
        _host!.Close(group);
        _journal!.Remove(group.Id);
        LogPosition position = _journal.Write();
        _host.WriteSoon();
        group.Replica.Engine.Dispose();
        if (group.IsOut)
            Volatile.Write(ref _stopped, [.. _stopped.Where(s => s.Group != group.Id)]);
        _unmarked.Remove(group.Id);
        _leaving.Add((group.Id, position));
    }

    /// <summary>
    /// Files of copies that were removed go when the journal's record of it is durable: a start that does not find that record
    /// looks for the files. A record that a failing disk did not take never is.
    /// </summary>
    private void SweepFolders()
    {
        if (_journal!.IsStopped)
            return;
        for (int i = _leaving.Count - 1; i >= 0; i--)
        {
            (GroupId group, LogPosition position) = _leaving[i];

            // A full disk took no record of it, and has room again: it was written with all that was lost, before what is appended now.
            if (position == LogPosition.Max)
                _leaving[i] = (group, position = _journal.AppendedPosition);
            if (_journal.DurablePosition < position)
                continue;
            try
            {
                _folders.RemoveAll(group);
            }
            catch (StorageException)
            {
                // What was coming for it may be going at this moment, by another thread.
                continue;
            }

            _leaving.RemoveAt(i);

            // It may be wanted here again.
            _arranged = null;
        }
    }

    /// <summary>Of a snapshot that comes: what the directory wants by now, as far as this node knows it.</summary>
    private string EngineWantedOf(RaftGroup group) =>
        group != _directory && KeyspaceOf(group.Id) is { } keyspace ? keyspace.EngineWanted : group.Replica.Options.Engine;

    private KeyspaceOptions OptionsOf(GroupId id) =>
        KnownOptionsOf(id) ?? new KeyspaceOptions { Name = "unknown", Engine = _options.Engine };

    private KeyspaceOptions? KnownOptionsOf(GroupId id)
    {
        DirectoryView view = View;
        return view.Group(id) is { } record ? view.Keyspace(record.Keyspace)?.Record.ToOptions() : null;
    }
}
