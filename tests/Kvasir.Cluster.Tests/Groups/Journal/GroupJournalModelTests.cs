using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>
/// Random requests of several groups beside a model of each, trims, reads, orderly and other ends. After each, what is
/// there is what all groups had at one moment, and not an earlier one than was reported durable.
/// </summary>
public sealed class GroupJournalModelTests
{
    private static readonly CrashKind[] s_kinds = Enum.GetValues<CrashKind>();

    private static readonly DiskOperationKind[] s_refused =
        [DiskOperationKind.Sync, DiskOperationKind.Write, DiskOperationKind.Allocate, DiskOperationKind.Rename, DiskOperationKind.SyncFolder, DiskOperationKind.Delete];

    private static readonly int s_seeds = int.TryParse(Environment.GetEnvironmentVariable("KVASIR_GROUP_SEEDS"), out int seeds) ? seeds : 24;

    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, s_seeds).Select(seed => (ulong)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void WhatIsThereIsWhatWasHandedInUpToSomeMomentAfterTheLastReport(ulong seed)
    {
        var run = new Run(seed);
        for (int step = 0; step < 700; step++)
            run.Step(step);
        run.End();
        Assert.True(
            run.CrashPoints > 60 && run.Trims > 0 && run.Read > 100 && run.Failures > 0,
            $"seed {seed}: {run.CrashPoints} crash points, {run.Trims} trims, {run.Read} entries read, {run.Failures} failures");
    }

    /// <summary>What was handed in before and while the disk was full is there once there was room, as if the disk had been slow.</summary>
    [Theory]
    [MemberData(nameof(Seeds))]
    public void AfterAFullDiskAllIsThereThatWasHandedIn(ulong seed)
    {
        var run = new Run(seed);
        for (int step = 0; step < 400; step++)
        {
            run.Step(step);
            if (step % 4 == 0)
                run.FillDisk($"seed {seed}, step {step}");
        }

        run.End();
        Assert.True(run.Resumptions > 10, $"seed {seed}: {run.Resumptions} times the disk was full");
    }

    private sealed class Run
    {
        private const int GroupsMax = 5;

        private readonly SeededRandom _random;

        // What all logs were once a record was written, by its position; the first: when the journal was opened.
        private readonly List<(LogPosition Position, SortedList<GroupId, LogModel> Logs)> _moments = [];
        private readonly string _seed;
        private bool _isWatching = true;
        private bool _isGathered;

        public Run(ulong seed)
        {
            _seed = $"seed {seed}";
            _random = new SeededRandom(seed ^ 0x6772_6F75_7073);
            World = new GroupWorld(seed);
            Opened();
        }

        public GroupWorld World { get; }

        public int CrashPoints { get; private set; }

        public int Trims { get; private set; }

        public int Read { get; private set; }

        public int Failures { get; private set; }

        /// <summary>Times that the journal went on after a full disk.</summary>
        public int Resumptions { get; private set; }

        /// <summary>There is no room for another segment, for a while; then there is.</summary>
        public void FillDisk(string where)
        {
            World.Files.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Allocate));
            for (int turn = 0; turn < 8; turn++)
            {
                for (int i = 0; i < 3; i++)
                    Persist();
                Write();
                if (_random.OneIn(2))
                    World.Journal.SyncInline();
                if (_random.OneIn(3))
                    World.Journal.TrimNow();
                World.Scheduler.RunAll();
            }

            World.Journal.SyncInline();
            Assert.DoesNotContain(JournalFailure.DiskFailed, World.Failures);
            if (World.Failures.Count > 0)
                GoOn(where);
            World.Files.Faults.Clear();
        }

        private void GoOn(string where)
        {
            Write();
            _moments.RemoveAll(moment => moment.Position > World.Durable);

            // A spare segment may be room enough.
            bool hasRoom = World.Journal.TryMakeRoom();
            World.Files.Faults.Clear();
            Assert.True(hasRoom || World.Journal.TryMakeRoom(), where);
            Resumptions++;
            LogPosition position = World.Resume();
            Assert.NotEqual(LogPosition.Max, position);
            _moments.Add((position, new SortedList<GroupId, LogModel>(World.Logs)));
            World.Journal.SyncInline();
            Assert.True(World.Durable >= position, $"{where}: {position} is not durable, only {World.Durable}");
            TryRead();
        }

        public void Step(int step)
        {
            switch (_random.Next(20))
            {
                case < 9:
                    Persist();
                    break;
                case < 12:
                    Write();
                    break;
                case 12:
                    Sync();
                    break;
                case 13:
                    Write();
                    World.Journal.RequestSync();
                    if (_random.OneIn(2))
                        World.Scheduler.RunOne();
                    break;
                case 14:
                    Compact();
                    break;
                case 15:
                    Write();
                    int segments = Segments();
                    World.Journal.TrimNow();
                    if (_random.OneIn(2))
                        World.Scheduler.RunAll();
                    Trims += Segments() < segments ? 1 : 0;
                    break;
                case 16 or 17:
                    TryRead();
                    break;
                case 18 when _random.OneIn(8):
                    Write();
                    World.Reopen();
                    Opened();
                    World.Verify(World.Logs, $"{_seed}, step {step}, opened again");
                    break;
                case 19 when _random.OneIn(6):
                    Crash($"{_seed}, step {step}");
                    break;
                case 19 when _random.OneIn(2):
                    Fault($"{_seed}, step {step}");
                    break;
            }
        }

        public void End()
        {
            Write();
            World.Dispose();
        }

        private int Segments() => World.Files.Paths.Count(path => path.EndsWith(".segment", StringComparison.Ordinal));

        private void Persist()
        {
            LogPosition before = World.Journal.AppendedPosition;
            var logs = new SortedList<GroupId, LogModel>(World.Logs);
            Persist((uint)_random.Next(1, GroupsMax + 1));

            // What was gathered before went out first.
            if (World.Journal.AppendedPosition > before)
                _moments.Add((World.Journal.AppendedPosition, logs));
        }

        private void Persist(uint group)
        {
            _isGathered = true;
            var id = new GroupId(group);
            if (!World.Logs.TryGetValue(id, out LogModel? log) || log.IsRemoved)
            {
                uint generation = log is null ? 0 : log.Generation + (uint)_random.Next(200);
                if (generation == 0 && _random.OneIn(3))
                    World.Found(group);
                else
                    World.Join(group, generation);
                return;
            }

            if (_random.OneIn(60))
            {
                World.Remove(group);
                return;
            }

            HardState state = log.State;
            if (_random.OneIn(4))
                state = new HardState(state.Term.Next, new MemberId((ulong)_random.Next(4)));
            else if (state.Vote.IsNone && state.Term > Term.Zero && _random.OneIn(4))
                state = state with { Vote = new MemberId(2) };
            if (state.Term == Term.Zero)
                state = new HardState(new Term(1), MemberId.None);

            (LogIndex, Term, ConfigurationEntry)? snapshot = null;
            if (_random.OneIn(25))
            {
                LogIndex at = log.Last + (ulong)_random.Next(1, 20);
                snapshot = (at, state.Term, new ConfigurationEntry(at, state.Term, Members()));
                log = log with { Origin = at, OriginTerm = state.Term, Entries = [] };
            }

            // What is compacted is applied, so it is never truncated.
            LogIndex firm = LogIndex.Greatest(log.Compacted, log.Origin);
            LogIndex truncate = LogIndex.Zero;
            if (log.Last > firm && _random.OneIn(5))
                truncate = firm + (ulong)_random.Next(1, (int)(log.Last - firm) + 1);
            LogIndex before = truncate > LogIndex.Zero ? truncate.Previous : log.Last;
            Term term = before > log.Origin ? log[before].Term : log.OriginTerm;
            ModelEntry[] entries = new ModelEntry[_random.OneIn(3) ? 0 : _random.Next(1, 6)];
            for (int i = 0; i < entries.Length; i++)
            {
                if (term == Term.Zero || (term < state.Term && _random.OneIn(2)))
                    term = new Term(term.Value + 1 + (ulong)_random.Next((int)(state.Term.Value - term.Value)));
                entries[i] = Entry(term);
            }

            World.Persist(group, state, truncate, entries, snapshot);
        }

        private ModelEntry Entry(Term term) => _random.Next(12) switch
        {
            0 => new ModelEntry(term, EntryKind.NoOp, "", null),
            1 => new ModelEntry(term, EntryKind.Configuration, "", Members()),
            2 => new ModelEntry(term, EntryKind.Normal, new string('L', _random.Next(2000, 9000)), null),
            _ => new ModelEntry(term, EntryKind.Normal, $"{_random.NextUInt64()}" + new string('s', _random.Next(200)), null),
        };

        private Configuration Members() =>
            new([new MemberId(1), new MemberId((ulong)_random.Next(2, 5))], _random.OneIn(2) ? [new MemberId(9)] : []);

        private void Write()
        {
            LogPosition position = World.Journal.Write();
            if (!_isGathered)
                return;
            _isGathered = false;
            Note(position);
        }

        private void Sync()
        {
            Write();
            World.Journal.SyncInline();
        }

        private void Note(LogPosition position)
        {
            // A request that asks for nothing is no record, and after a failure there are none.
            if (position == LogPosition.Max)
                return;
            if (_moments.Count > 0 && position <= _moments[^1].Position)
                return;
            _moments.Add((position, new SortedList<GroupId, LogModel>(World.Logs)));
        }

        private void Compact()
        {
            // An engine has only what is durable here.
            Sync();
            foreach ((GroupId group, LogModel log) in World.Logs.ToArray())
            {
                if (log.IsRemoved || log.Last == log.Origin || _random.OneIn(3))
                    continue;
                LogIndex firm = LogIndex.Greatest(log.Compacted, log.Origin);
                World.Compact(group.Value, (firm + (ulong)_random.Next((int)(log.Last - firm) + 1)).Value);
            }

            // From now on less may be there of the last moment.
            _moments.Clear();
            Note(World.Journal.AppendedPosition);
        }

        private void TryRead()
        {
            Write();
            if (_random.OneIn(2))
                World.Journal.SyncInline();
            foreach ((GroupId group, LogModel log) in World.Logs)
            {
                if (log.Last == log.Origin)
                    continue;
                LogIndex first = log.Origin + (ulong)_random.Next(1, (int)(log.Last - log.Origin) + 1);
                long bytesMax = _random.OneIn(2) ? long.MaxValue : _random.Next(20_000);
                (bool found, ReadEntries read) = World.Read(group.Value, first.Value, ulong.MaxValue, bytesMax);
                read.Match(log, first, $"{_seed}, group {group}");
                if (!found && World.Durable >= _moments[^1].Position)
                    Assert.True(first <= log.Compacted, $"{_seed}, group {group}: entry {first} of {log.Last} was not found");
                if (found && World.Durable >= _moments[^1].Position && bytesMax == long.MaxValue)
                    Assert.Equal((int)(log.Last - first) + 1, read.Entries.Count);
                Read += read.Entries.Count;
            }
        }

        private void Crash(string where)
        {
            // What was gathered and never written is gone in any case.
            _isGathered = false;
            LogPosition durable = World.Durable;
            CrashKind kind = s_kinds[_random.Next(s_kinds.Length)];
            World.Crash(kind);
            World.Logs = Settle(World, durable, $"{where}, {kind}");
            Opened();
        }

        /// <summary>The disk refuses something; whether or not that is a failure, nothing that was reported is lost.</summary>
        private void Fault(string where)
        {
            DiskOperationKind kind = s_refused[_random.Next(s_refused.Length)];
            DiskFault fault = _random.OneIn(2) ? DiskFault.Failed : DiskFault.Full;
            World.Files.Faults.Add(new FaultRule(fault, kind) { Skip = _random.Next(3), Times = 1 });
            for (int turn = 0; turn < 6; turn++)
            {
                for (int i = 0; i < 4; i++)
                    Persist();
                Sync();
                World.Journal.TrimNow();
                World.Scheduler.RunAll();
            }

            World.Files.Faults.Clear();
            if (World.Failures.Count == 0)
                return;
            Failures++;
            Assert.Equal(LogPosition.Max, World.Journal.Write());
            Crash($"{where}, {fault} {kind}");
        }

        /// <summary>What was there at the moment up to which the journal came back.</summary>
        private SortedList<GroupId, LogModel> Settle(GroupWorld opened, LogPosition durable, string where)
        {
            int at = _moments.FindLastIndex(moment => moment.Position <= opened.Journal.AppendedPosition);
            Assert.True(at >= 0, $"{where}: the journal ends at {opened.Journal.AppendedPosition}, before {_moments[0].Position}");
            Assert.True(
                at == _moments.Count - 1 || _moments[at + 1].Position > durable,
                $"{where}: {durable} was reported durable, and what is there ends at {_moments[at].Position}");
            opened.Verify(_moments[at].Logs, where);
            return new SortedList<GroupId, LogModel>(_moments[at].Logs);
        }

        private void Opened()
        {
            _moments.Clear();
            Note(World.Journal.AppendedPosition);
            SimulatedFileSystem files = World.Files;
            files.BeforeOperation = operation =>
            {
                if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Open || !_random.OneIn(3) || !_isWatching)
                    return;
                _isWatching = false;
                CrashKind kind = s_kinds[_random.Next(s_kinds.Length)];
                SimulatedFileSystem left = files.AfterCrash(_random.Fork(), kind);
                using var other = new GroupWorld(_random.NextUInt64(), left);
                Settle(other, World.Durable, $"{_seed}, {kind} before {operation}");
                CrashPoints++;
                _isWatching = true;
            };
        }
    }
}
