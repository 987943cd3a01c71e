using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Simulation.Workloads;

/// <summary>
/// Runs a whole node on an imagined disk, and crashes it at every disk operation: the disk as it would be found after
/// that crash is recovered and compared with what was promised, while the run itself goes on.
/// <para>
/// Every transaction also writes its number. After a crash the number found says which prefix of the history survived;
/// it must reach the last transaction that was answered, and the content must be exactly that prefix: nothing lost,
/// nothing half there, nothing from later. Then the recovered node must take writes and survive another stop.
/// </para>
/// </summary>
public sealed partial class DiskWorkload
{
    private const string Folder = "/data";
    private const int Databases = 2;
    private static readonly byte[] s_numberKey = "~number"u8.ToArray();

    private readonly DiskWorkloadOptions _options;
    private readonly SeededRandom _random;
    private readonly SeededRandom _crashRandom;
    private readonly SimulatedFileSystem _disk;
    private readonly SimulatedScheduler _scheduler;

    // One model for each prefix of the history; the last is what the node holds.
    private readonly List<DatabaseModel> _history = [DatabaseModel.Empty(Databases)];
    private readonly List<LogPosition> _positions = [LogPosition.Zero];
    private KvasirNode? _node;
    private int _answered;
    private int _checkpoints;
    private long _crashPoints;
    private bool _checking;

    private DiskWorkload(DiskWorkloadOptions options)
    {
        _options = options;
        _random = new SeededRandom(options.Seed);
        _crashRandom = _random.Fork();
        _disk = new SimulatedFileSystem(_random.Fork());
        _scheduler = new SimulatedScheduler(_random.Fork());
        _disk.BeforeOperation = CrashHere;
    }

    /// <summary>Runs one seed; throws <see cref="WorkloadFailedException"/> when a promise is broken.</summary>
    public static DiskWorkloadResult Run(DiskWorkloadOptions options)
    {
        DiskWorkload workload = new(options);
        try
        {
            workload.RunSteps();
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw workload.Broken($"unexpected {e.GetType().Name}: {e.Message}", e);
        }

        ulong fingerprint = workload._disk.Fingerprint ^ workload._scheduler.Fingerprint ^ workload._random.NextUInt64();
        return new DiskWorkloadResult(
            options.Seed, workload._disk.OperationCount, workload._crashPoints, workload._history.Count - 1, workload._failures, fingerprint);
    }

    private void RunSteps()
    {
        _node = Open(_disk, _scheduler);
        for (int step = 0; step < _options.Steps; step++)
            Step();
        HealDisk();
        Settle();
        CheckContent(_node, _history.Count - 1, "at the end");
        Close();
        _node = Open(_disk, _scheduler);
        CheckContent(_node, _history.Count - 1, "after a clean stop");
        Close();
    }

    private void Step()
    {
        if (_options.Faults && !_diskIsBad && _random.OneIn(40))
            SpoilDisk();
        else if (_diskIsBad && _random.OneIn(12))
            HealDisk();
        KvasirNode node = _node!;
        switch (_random.Next(40))
        {
            case 0:
                HealDisk();
                Close();
                _node = Open(_disk, _scheduler);
                CheckContent(_node, _history.Count - 1, "after reopening");
                break;
            case 1:
                node.Replicas[1 + _random.Next(Databases)].Engine.Flush();
                break;
            case 2:
                CheckWithSnapshot(node);
                break;
            case 3:
                HealDisk();
                Checkpoint(_node!);
                break;
            case 4:
                CheckContent(node, Visible, "while running");
                break;
            case < 12:
                _scheduler.RunOne();
                break;
            case 12:
                // Now and then far enough for the node's upkeep to trim the journal.
                _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(_random.Next(_random.OneIn(3) ? 300 : 40)));
                break;
            default:
                Transact(node);
                if (_random.OneIn(3))
                    Settle();
                break;
        }
    }

    /// <summary>One transaction over both databases, and its number.</summary>
    private void Transact(KvasirNode node)
    {
        if (node.Refusal is not null)
            return;
        DatabaseModel model = _history[^1];
        int number = _history.Count;
        List<Action<Execution>> effects = [];
        int count = _random.OneIn(8) ? _random.Next(1, 40) : _random.Next(1, 5);
        for (int i = 0; i < count; i++)
        {
            int database = _random.Next(Databases);
            byte[] key = RandomKey();
            switch (_random.Next(12))
            {
                case 0:
                    byte[] end = _random.OneIn(10) ? [] : RandomKey();
                    if (end.Length != 0 && key.AsSpan().SequenceCompareTo(end) >= 0)
                        break;
                    model = model.DeleteRange(database, key, end);
                    effects.Add(e => e.DeleteRange(node.Database(database), key, end));
                    break;
                case 1 or 2:
                    model = model.Delete(database, key);
                    effects.Add(e => e.Delete(node.Database(database), key));
                    break;
                default:
                    byte[] value = new byte[_random.OneIn(20) ? _random.Next(3000) : _random.Next(60)];
                    _random.NextBytes(value);
                    long deadline = _random.OneIn(6) ? NowMs + _random.Next(1, 200) : 0;
                    model = model.Put(database, key, value, deadline);
                    effects.Add(e => e.Put(node.Database(database), key, [], value, deadline));
                    break;
            }
        }

        byte[] numberValue = BitConverter.GetBytes((long)number);
        model = model.Put(0, s_numberKey, numberValue, 0);
        effects.Add(e => e.Put(node.Database(0), s_numberKey, [], numberValue, 0));

        // The journal record exists from the commit on: a crash may keep it from then, so the model is there before.
        _history.Add(model);
        TransactionItem item = new(effects);
        node.Mailbox.Post(item);
        _positions.Add(item.Gate);
        node.Log.Commit();
        NoteAnswers(node);
    }

    /// <summary>Lets background work go on until everything committed is durable; false when a bad disk prevents it.</summary>
    private bool Settle()
    {
        KvasirNode node = _node!;
        node.Log.Commit();
        while (node.Log.DurablePosition < node.Log.AwaitedPosition && _scheduler.RunOne())
            NoteAnswers(node);
        NoteAnswers(node);
        if (node.Refusal is not null && _diskIsBad)
            return false;
        if (_answered != _history.Count - 1)
            throw Broken($"nothing is left to do, and transaction {_answered + 1} of {_history.Count - 1} is not durable");
        return true;
    }

    private void NoteAnswers(KvasirNode node)
    {
        while (_answered < _history.Count - 1 && _positions[_answered + 1] <= node.Log.DurablePosition)
            _answered++;
    }

    private void Close()
    {
        _node!.Dispose();
        _answered = _history.Count - 1;
        _node = null;
        _scheduler.RunAll();
    }

    private void Checkpoint(KvasirNode node)
    {
        Settle();
        string folder = "/checkpoint-" + ++_checkpoints;
        node.Checkpoint(folder);
        _checking = true;
        try
        {
            using SimulatedNode copy = new(_disk.Clone(), _crashRandom.Fork(), _scheduler.Time.GetUtcNow(), this, folder);
            CheckContent(copy.Node, _history.Count - 1, "in a checkpoint");
        }
        finally
        {
            _checking = false;
        }
    }

    private void CheckWithSnapshot(KvasirNode node)
    {
        if (!Settle())
            return;
        int at = _history.Count - 1;
        EngineSnapshot[] snapshots = [.. Enumerable.Range(0, Databases).Select(d => node.Database(d).Engine.CreateSnapshot())];
        for (int i = 0; i < 5; i++)
            Transact(node);
        while (_random.OneIn(2) && _scheduler.RunOne())
            NoteAnswers(node);
        for (int database = 0; database < Databases; database++)
        {
            CheckDatabase(node.Database(database).Engine, ReadView.At(snapshots[database]), database, at, "in a snapshot");
            snapshots[database].Dispose();
        }
    }

    /// <summary>Called before every disk operation of the run: this is the instant at which the machine stops.</summary>
    private void CrashHere(DiskOperation operation)
    {
        if (_checking || (_options.CrashEvery > 1 && !_crashRandom.OneIn(_options.CrashEvery)))
            return;
        if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Open)
            return;
        _checking = true;
        try
        {
            CrashKind kind = (CrashKind)_crashRandom.Next(5);
            int answered = _answered;
            if (_node is { } node)
            {
                while (answered < _positions.Count - 1 && _positions[answered + 1] <= node.Log.DurablePosition)
                    answered++;
            }

            // Whoever restarts the machine has seen to it that there is space.
            SimulatedFileSystem left = _disk.AfterCrash(_crashRandom.Fork(), kind);
            left.CapacityBytes = long.MaxValue;
            Recover(left, answered, $"crash ({kind}) before operation {operation}");
            _crashPoints++;
        }
        finally
        {
            _checking = false;
        }
    }

    /// <summary>Recovers a crashed disk, checks it, writes to it, and recovers it once more.</summary>
    private void Recover(SimulatedFileSystem disk, int answered, string when)
    {
        int found;
        try
        {
            using (SimulatedNode first = new(disk, _crashRandom.Fork(), _scheduler.Time.GetUtcNow(), this, Folder))
            {
                found = FoundNumber(first.Node);
                if (found < answered)
                    throw Broken($"{when}: transaction {answered} was answered, and only {found} are there");
                if (found >= _history.Count)
                    throw Broken($"{when}: transaction {found} is there, and only {_history.Count - 1} were made");
                CheckContent(first.Node, found, when);
                first.WriteMarker();
            }

            using SimulatedNode second = new(disk, _crashRandom.Fork(), _scheduler.Time.GetUtcNow(), this, Folder);
            if (!second.HasMarker())
                throw Broken($"{when}: a write after the recovery did not survive a clean stop");
            CheckContent(second.Node, found, when + ", recovered twice");
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw Broken($"{when}: recovery failed with {e.GetType().Name}: {e.Message}", e);
        }
    }

    private static int FoundNumber(KvasirNode node)
    {
        BytesBuffer value = new();
        return node.Database(0).Engine.Get(s_numberKey, ReadView.Published, value).Found
            ? (int)BitConverter.ToInt64(value.WrittenSpan)
            : 0;
    }

    private void CheckContent(KvasirNode node, int prefix, string when)
    {
        for (int database = 0; database < Databases; database++)
            CheckDatabase(node.Database(database).Engine, ReadView.Published, database, prefix, when);
    }

    private void CheckDatabase(IOrderedEngine engine, ReadView view, int database, int prefix, string when)
    {
        using EngineIterator iterator = engine.CreateIterator(new IteratorOptions { View = view });
        bool forward = _crashRandom.OneIn(2);
        KeyValuePair<byte[], ModelValue>[] expected = [.. _history[prefix].Live(database, NowMs)];
        if (!forward)
            Array.Reverse(expected);
        if (forward)
            iterator.SeekToFirst();
        else
            iterator.SeekToLast();
        foreach ((byte[] key, ModelValue value) in expected)
        {
            // The marker of an earlier recovery is not part of the history.
            SkipMarker(iterator, forward);
            if (!iterator.Valid)
                throw Broken($"{when}: db{database} after {prefix} transactions lacks {Show(key)}");
            if (!iterator.Key.SequenceEqual(key))
                throw Broken($"{when}: db{database} after {prefix} transactions has {Show(iterator.Key)} where {Show(key)} should be");
            if (!iterator.Value.SequenceEqual(value.Value) || iterator.ExpiresAtMs != value.ExpiresAtMs)
                throw Broken($"{when}: db{database} after {prefix} transactions has another value for {Show(key)}");
            if (forward)
                iterator.Next();
            else
                iterator.Previous();
        }

        SkipMarker(iterator, forward);
        if (iterator.Valid)
            throw Broken($"{when}: db{database} after {prefix} transactions has {Show(iterator.Key)}, which should not be there");

        // Point reads go another way than iterators: look at some of them, present and absent.
        BytesBuffer buffer = new();
        for (int i = 0; i < 8; i++)
        {
            byte[] key = expected.Length > 0 && _crashRandom.OneIn(2) ? expected[_crashRandom.Next(expected.Length)].Key : RandomKey(_crashRandom);
            buffer.Clear();
            bool found = engine.Get(key, view, buffer).Found;
            ModelValue? wanted = expected.Where(e => e.Key.AsSpan().SequenceEqual(key)).Select(e => (ModelValue?)e.Value).FirstOrDefault();
            if (found != wanted is not null || (found && !buffer.WrittenSpan.SequenceEqual(wanted!.Value.Value)))
                throw Broken($"{when}: db{database} after {prefix} transactions: a read of {Show(key)} disagrees with the iterator");
        }
    }

    private static void SkipMarker(EngineIterator iterator, bool forward)
    {
        while (iterator.Valid && iterator.Key.SequenceEqual(SimulatedNode.MarkerKey))
        {
            if (forward)
                iterator.Next();
            else
                iterator.Previous();
        }
    }

    private KvasirNode Open(IFileSystem disk, SimulatedScheduler scheduler)
    {
        KvasirNode node = Open(disk, scheduler, Folder, _random.NextUInt64());
        node.SetLogListener(new FailureListener(this));
        return node;
    }

    private KvasirNode Open(IFileSystem disk, SimulatedScheduler scheduler, string folder, ulong seed) => KvasirNode.Open(
        new NodeOptions
        {
            Folder = folder,
            DatabaseCount = Databases,
            MemoryBytes = MemoryBudget.MinimumBytes,
            JournalBytesMax = 64 << 10,
            Journal = new JournalOptions { SegmentBytes = 32 << 10, FirstSegmentBytes = 16 << 10 },
        },
        new NodeEnvironment(disk, scheduler, [_options.Engine], seed));

    private long NowMs => _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    private byte[] RandomKey() => RandomKey(_random);

    // Few distinct keys, of uneven lengths and with shared prefixes, so that overwrites, deletions and blocks all happen.
    private static byte[] RandomKey(SeededRandom random)
    {
        string prefix = random.Next(3) switch { 0 => "k", 1 => "key:", _ => "key:with:a:long:prefix:" };
        return System.Text.Encoding.ASCII.GetBytes(prefix + random.Next(random.OneIn(4) ? 2000 : 60));
    }

    private static string Show(ReadOnlySpan<byte> key) => System.Text.Encoding.ASCII.GetString(key);

    private WorkloadFailedException Broken(string what, Exception? inner = null) =>
        new($"seed {_options.Seed}: {what}. Replay: ./kvasir simulate disk --seed {_options.Seed} --steps {_options.Steps} --crash-every {_options.CrashEvery}", inner);

    private sealed class TransactionItem(List<Action<Execution>> effects) : IMailboxItem
    {
        public LogPosition Gate { get; private set; }

        public void Run(Execution execution)
        {
            foreach (Action<Execution> effect in effects)
                effect(execution);
            execution.Commit();
            Gate = execution.TakeGate();
        }
    }

    /// <summary>A node on a recovered disk, in a world of its own.</summary>
    private sealed class SimulatedNode : IDisposable
    {
        public static readonly byte[] MarkerKey = "~marker"u8.ToArray();

        private readonly SimulatedScheduler _scheduler;

        public SimulatedNode(IFileSystem disk, SeededRandom random, DateTimeOffset now, DiskWorkload owner, string folder)
        {
            _scheduler = new SimulatedScheduler(random, new SimulatedClock(now));
            Node = owner.Open(disk, _scheduler, folder, random.NextUInt64());
        }

        public KvasirNode Node { get; }

        public void WriteMarker()
        {
            TransactionItem item = new([e => e.Put(Node.Database(0), MarkerKey, [], MarkerKey, 0)]);
            Node.Mailbox.Post(item);
            Node.Log.Commit();
            while (Node.Log.DurablePosition < item.Gate)
                Check.That(_scheduler.RunOne(), $"nothing is left to run, and the marker is not durable");
            _scheduler.RunAll();
        }

        public bool HasMarker() => Node.Database(0).Engine.Get(MarkerKey, ReadView.Published, value: null).Found;

        public void Dispose()
        {
            Node.Dispose();
            _scheduler.RunAll();
        }
    }
}
