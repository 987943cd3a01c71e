using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>The journal of a node's groups on a simulated disk, driven beside models of the logs that it must hold.</summary>
internal sealed class GroupWorld : IDisposable
{
    public const string Folder = "/data/journal";
    public static readonly NodeId Self = new(1);
    public static readonly Configuration Three = new([new MemberId(1), new MemberId(2), new MemberId(3)]);

    private readonly ModelBytes _bytes = new();
    private ulong _write;

    public GroupWorld(ulong seed, SimulatedFileSystem? files = null, JournalOptions? options = null)
    {
        Random = new SeededRandom(seed);
        Files = files ?? new SimulatedFileSystem(Random.Fork());
        Options = options ?? SmallOptions;
        Scheduler = new SimulatedScheduler(Random.Fork());
        Journal = Open();
    }

    public static JournalOptions SmallOptions { get; } = new()
    {
        SegmentBytes = 16 << 10,
        FirstSegmentBytes = 8 << 10,
        SpareSegmentsMax = 1,
    };

    public SeededRandom Random { get; }

    public SimulatedFileSystem Files { get; set; }

    public JournalOptions Options { get; }

    public SimulatedScheduler Scheduler { get; private set; }

    public GroupJournal Journal { get; private set; }

    /// <summary>As they are once all that was handed in is durable.</summary>
    public SortedList<GroupId, LogModel> Logs { get; set; } = [];

    public LogPosition Durable { get; private set; }

    public List<JournalFailure> Failures { get; } = [];

    public LogModel this[uint group] => Logs[new GroupId(group)];

    public static ModelEntry Normal(ulong term, string bytes) => new(new Term(term), EntryKind.Normal, bytes, null);

    public static ModelEntry NoOp(ulong term) => new(new Term(term), EntryKind.NoOp, "", null);

    public static ModelEntry Changing(ulong term, Configuration to) => new(new Term(term), EntryKind.Configuration, "", to);

    public void Found(uint group, Configuration? configuration = null)
    {
        var id = new GroupId(group);
        RaftRecovery recovery = Journal.Found(id, configuration ?? Three);
        LogModel model = LogModel.Joining with
        {
            State = KeptOf(id),
            OriginConfiguration = new ConfigurationEntry(LogIndex.Zero, Term.Zero, configuration ?? Three),
        };
        model.Matches(recovery, $"group {group} founded");
        Logs[id] = model;
    }

    public void Join(uint group, uint generation = 0)
    {
        var id = new GroupId(group);
        LogModel model = LogModel.Joining with { State = KeptOf(id), Generation = generation };
        RaftRecovery recovery = Journal.Join(id, generation);
        model.Matches(recovery, $"group {group} joined");
        Assert.Equal(GroupMember.Of(Self, generation), recovery.Id);
        Logs[id] = model;
    }

    public void Remove(uint group)
    {
        var id = new GroupId(group);
        Journal.Remove(id);
        Logs[id] = LogModel.Joining with { State = Logs[id].State, Generation = Logs[id].Generation, IsRemoved = true };
    }

    public void Vote(uint group, ulong term, ulong vote) => Persist(group, new HardState(new Term(term), new MemberId(vote)));

    public void Append(uint group, params ModelEntry[] entries) => Persist(group, null, appended: entries);

    public void Overwrite(uint group, ulong from, params ModelEntry[] entries) => Persist(group, null, new LogIndex(from), entries);

    /// <summary>One request of a member, handed in and noted in its model.</summary>
    public void Persist(
        uint group,
        HardState? state = null,
        LogIndex truncateFrom = default,
        ModelEntry[]? appended = null,
        (LogIndex Index, Term Term, ConfigurationEntry Configuration)? snapshot = null)
    {
        var id = new GroupId(group);
        LogModel log = Logs.TryGetValue(id, out LogModel? found) && !found.IsRemoved ? found : LogModel.Joining with { State = KeptOf(id), Generation = found?.Generation ?? 0 };
        HardState before = log.State;
        log = log with { State = state ?? before };
        if (snapshot is { } image)
        {
            log = log with
            {
                Origin = image.Index,
                OriginTerm = image.Term,
                OriginConfiguration = image.Configuration,
                Entries = [],
                Compacted = image.Index,
            };
        }

        if (truncateFrom > LogIndex.Zero)
            log = log.TruncateFrom(truncateFrom);
        LogIndex first = log.Last.Next;
        log = log with { Entries = [.. log.Entries, .. appended ?? []] };
        _bytes.Log = log;
        Logs[id] = log;
        Journal.Add(
            id,
            new PersistRequest
            {
                Write = new WriteNumber(++_write),
                HardState = log.State,
                HardStateChanged = log.State != before,
                ResetsLog = snapshot is not null,
                SnapshotIndex = snapshot?.Index ?? LogIndex.Zero,
                SnapshotTerm = snapshot?.Term ?? Term.Zero,
                TruncateFrom = truncateFrom,
                First = first,
                Last = log.Last,
            },
            _bytes,
            snapshot?.Configuration);
    }

    /// <summary>After a full disk: what was handed in is written again.</summary>
    public LogPosition Resume()
    {
        Failures.Clear();
        return Journal.Resume(id =>
        {
            _bytes.Log = Logs[id];
            return _bytes;
        });
    }

    public void Compact(uint group, ulong index)
    {
        var id = new GroupId(group);
        var at = new LogIndex(index);
        LogModel log = Logs[id];
        Journal.Compacted(id, at, log.TermAt(at), log.ConfigurationAt(at), new EngineMark(log.Origin, at));
        Logs[id] = log with { Compacted = LogIndex.Greatest(log.Compacted, at) };
    }

    /// <summary>Writes, and makes durable.</summary>
    public LogPosition Sync()
    {
        LogPosition position = Journal.Write();
        Journal.SyncInline();
        Assert.True(Durable >= position, $"position {position} was not reported, only {Durable}");
        return position;
    }

    public (bool Found, ReadEntries Entries) Read(uint group, ulong first, ulong last, long bytesMax = long.MaxValue)
    {
        var sink = new ReadEntries();
        bool found = Journal.TryRead(new GroupId(group), new LogIndex(first), new LogIndex(last), bytesMax, sink);
        Assert.Equal(found, sink.Entries.Count > 0);
        return (found, sink);
    }

    /// <summary>All that a model has and that may not be missing is there, and nothing else.</summary>
    public void Verify(SortedList<GroupId, LogModel> logs, string where)
    {
        GroupId[] open = [.. logs.Where(log => !log.Value.IsRemoved).Select(log => log.Key)];
        Assert.True(open.SequenceEqual(Journal.Recovered.Keys), $"{where}: groups {string.Join(' ', Journal.Recovered.Keys)} in place of {string.Join(' ', open)}");
        foreach ((GroupId group, LogModel log) in logs)
        {
            Assert.Equal(log.IsRemoved, Journal.IsRemoved(group));
            Assert.Equal(log.Generation, Journal.GenerationOf(group));
            if (log.IsRemoved)
            {
                Assert.Equal(default, Journal.NeededOf(group));
                continue;
            }

            RaftRecovery recovery = Journal.Recovered[group];
            log.Matches(recovery, $"{where}, group {group}");
            Assert.Equal(GroupMember.Of(Self, log.Generation), recovery.Id);
            Assert.Equal(new EngineMark(log.Origin, recovery.SnapshotIndex > log.Origin ? recovery.SnapshotIndex : LogIndex.Zero), Journal.NeededOf(group));
            if (recovery.SnapshotIndex < log.Last)
            {
                LogIndex first = recovery.SnapshotIndex.Next;
                (bool found, ReadEntries read) = Read(group.Value, first.Value, log.Last.Value);
                Assert.True(found && read.Entries.Count == (int)(log.Last - recovery.SnapshotIndex), $"{where}, group {group}: {read.Entries.Count} entries were read of {first} to {log.Last}");
                read.Match(log, first, $"{where}, group {group}");
            }

            if (recovery.SnapshotIndex > LogIndex.Zero)
                Assert.False(Read(group.Value, recovery.SnapshotIndex.Value, log.Last.Value).Found, $"{where}: a compacted entry was read");
            Assert.False(Read(group.Value, log.Last.Value + 1, log.Last.Value + 9).Found);
        }
    }

    /// <summary>The machine stops; what it finds afterwards is opened.</summary>
    public void Crash(CrashKind kind)
    {
        Files.Stop();
        Files = Files.AfterCrash(Random.Fork(), kind);
        Restart();
    }

    public void Reopen()
    {
        Journal.Dispose();
        Restart();
    }

    public void Dispose()
    {
        if (Failures.Count == 0)
            Journal.Dispose();
    }

    private void Restart()
    {
        Scheduler = new SimulatedScheduler(Random.Fork());
        Failures.Clear();
        Journal = Open();
    }

    private GroupJournal Open()
    {
        GroupJournal opened = GroupJournal.Open(
            Files,
            Scheduler,
            Folder,
            Options,
            Self,
            position =>
            {
                Assert.True(position >= Durable && Failures.Count == 0, $"{position} is reported behind {Durable} and {Failures.Count} failures");
                Durable = position;
            },
            (failure, _) => Failures.Add(failure));
        Durable = opened.DurablePosition;
        return opened;
    }

    private HardState KeptOf(GroupId id) => Logs.TryGetValue(id, out LogModel? log) ? log.State : default;
}
