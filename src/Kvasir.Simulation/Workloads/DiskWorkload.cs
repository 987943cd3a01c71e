using Kvasir.Cluster.Keyspaces;
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
    private readonly Durability _durability = Durability.Sync;
    private readonly Dictionary<int, Durability> _databaseDurability = [];
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
    private bool _comparing;
    private bool _posting;
    private bool _closing;
    private WorkloadFailedException? _broken;

    private DiskWorkload(DiskWorkloadOptions options)
    {
        _options = options;
        _random = new SeededRandom(options.Seed);
        _crashRandom = _random.Fork();
        _disk = new SimulatedFileSystem(_random.Fork());
        _scheduler = new SimulatedScheduler(_random.Fork());
        _disk.BeforeOperation = BeforeOperation;
        _disk.Clock = _scheduler.Clock;
        _disk.Latency = LatencyOf;
        if (_options.Faults.HasFlag(DiskWorkloadFaults.Weak) && _random.OneIn(4))
        {
            Durability weak = _random.OneIn(2) ? Durability.Interval : Durability.None;
            if (_random.OneIn(2))
                _durability = weak;
            else
                _databaseDurability[1] = weak;
        }

        Count("runs with durability " + _durability + (_databaseDurability.TryGetValue(1, out Durability other) ? ", and " + other + " in one database" : ""));
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
            // Background jobs take whatever is thrown through them for their own failure, and others then meet that.
            throw workload.Broken($"unexpected {e.GetType().Name}: {e.Message}", e);
        }

        if (workload._broken is not null)
            throw workload._broken;
        ulong fingerprint = workload._disk.Fingerprint ^ workload._scheduler.Fingerprint ^ workload._random.NextUInt64();
        return new DiskWorkloadResult(
            options.Seed, workload._disk.OperationCount, workload._crashPoints, workload._history.Count - 1, workload._failures,
            fingerprint, workload.Coverage);
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
        if (MaySpoil && !_diskIsBad && _random.OneIn(40))
            SpoilDisk();
        else if (_diskIsBad && _random.OneIn(12))
            HealDisk();
        if (_options.Others.Count > 0)
            Convert(_node!);
        KvasirNode node = _node!;
        switch (_random.Next(40))
        {
            case 0:
                HealDisk();
                Close();
                _node = Open(_disk, _scheduler);
                Count("clean stops and starts");
                CheckContent(_node, _history.Count - 1, "after reopening");
                break;
            case 1:
                node.Replicas[_random.Next(Databases + 1)].Engine.Flush();
                Count("flushes asked for");
                break;
            case 2:
                HoldView(node);
                break;
            case 3:
                HealDisk();
                Checkpoint(_node!);
                break;
            case 4:
                if (_durability == Durability.Sync || !_diskIsBad)
                    CheckLive(node, Visible, "while running");
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

        CheckHeldViews(_random.OneIn(8) ? 0 : 6);
    }

    /// <summary>One transaction over both databases, and its number in each.</summary>
    private void Transact(KvasirNode node)
    {
        if (node.Refusal is not null)
            return;
        DatabaseModel model = _history[^1];
        byte[] number = BitConverter.GetBytes((long)_history.Count);
        List<Action<Execution>> effects = [];
        switch (_random.Next(40))
        {
            case 0:
                Count("everything deleted, in all databases");
                for (int i = 0; i < Databases; i++)
                {
                    int database = i;
                    model = model.DeleteRange(database, [], []);
                    effects.Add(e => e.DeleteRange(node.Database(database), [], []));
                }

                break;
            case 1:
                Count("databases swapped");
                model = model.Swap(0, 1);
                effects.Add(e => node.SwapDatabases(e, 0, 1));
                break;
            case 2:
                model = MoveKey(node, model, effects);
                break;
            default:
                int count = _random.OneIn(8) ? _random.Next(1, 40) : _random.Next(1, 5);
                for (int i = 0; i < count; i++)
                    model = Mutate(node, model, effects);
                break;
        }

        for (int i = 0; i < Databases; i++)
        {
            int database = i;
            model = model.Put(database, s_numberKey, number, 0);
            effects.Add(e => e.Put(node.Database(database), s_numberKey, [], number, 0));
        }

        // The journal record exists from the commit on: a crash may keep it from then, so the model is there before.
        _history.Add(model);
        TransactionItem item = new(effects);
        _posting = true;
        node.Mailbox.Post(item);
        _posting = false;
        if (item.Refused is not null)
        {
            if (!_diskIsBad)
                throw Broken($"a transaction met {item.Refused.GetType().Name}: {item.Refused.Message}", item.Refused);
            Count("transactions abandoned because a read was refused");
            _history.RemoveAt(_history.Count - 1);
            return;
        }

        _positions.Add(node.Log.AppendedPosition);
        if (_durability == Durability.Sync && item.Gate != _positions[^1])
            throw Broken($"the replies of transaction {_history.Count - 1} wait for {item.Gate} instead of {_positions[^1]}");
        Count("transactions");
        node.Log.Commit();
        NoteAnswers(node);
    }

    /// <summary>A put, a deletion or a deletion of a range.</summary>
    private DatabaseModel Mutate(KvasirNode node, DatabaseModel model, List<Action<Execution>> effects)
    {
        int database = _random.Next(Databases);
        byte[] key = RandomKey();
        switch (_random.Next(12))
        {
            case 0:
                byte[] end = _random.OneIn(10) ? [] : RandomKey();
                if (end.Length != 0 && key.AsSpan().SequenceCompareTo(end) >= 0)
                    return model;
                Count(end.Length == 0 ? "ranges deleted, to the end" : "ranges deleted");
                effects.Add(e => e.DeleteRange(node.Database(database), key, end));
                return model.DeleteRange(database, key, end);
            case 1 or 2:
                Count("keys deleted");
                effects.Add(e => e.Delete(node.Database(database), key));
                return model.Delete(database, key);
            default:
                byte[] value = new byte[_random.OneIn(20) ? _random.Next(3000) : _random.Next(60)];
                _random.NextBytes(value);
                long deadline = _random.OneIn(6) ? NowMs + _random.Next(1, 200) : 0;
                Count(deadline == 0 ? "keys put" : "keys put that expire");
                effects.Add(e => e.Put(node.Database(database), key, [], value, deadline));
                return model.Put(database, key, value, deadline);
        }
    }

    /// <summary>What MOVE and COPY do: a value read in one database and written in the other, in one transaction.</summary>
    private DatabaseModel MoveKey(KvasirNode node, DatabaseModel model, List<Action<Execution>> effects)
    {
        if (_random.OneIn(2))
            model = Mutate(node, model, effects);
        int source = _random.Next(Databases);
        int target = (source + 1) % Databases;
        KeyValuePair<byte[], ModelValue>[] live = [.. model.Live(source, NowMs).Where(e => e.Key != s_numberKey && e.Value.ExpiresAtMs == 0).Take(40)];
        if (live.Length == 0)
            return model;
        (byte[] key, ModelValue value) = live[_random.Next(live.Length)];
        bool keeps = _random.OneIn(2);
        Count(keeps ? "keys copied to another database" : "keys moved to another database");
        effects.Add(e =>
        {
            BytesBuffer read = new();
            EntryInfo info = e.Get(node.Database(source), key, read);
            if (!info.Found || !read.WrittenSpan.SequenceEqual(value.Value) || info.ExpiresAtMs != value.ExpiresAtMs)
                throw Broken($"a transaction reads another value of {Show(key)} than was written");
            e.Put(node.Database(target), key, [], read.WrittenSpan, info.ExpiresAtMs);
            if (!keeps)
                e.Delete(node.Database(source), key);
        });
        model = model.Put(target, key, value.Value, value.ExpiresAtMs);
        return keeps ? model : model.Delete(source, key);
    }

    /// <summary>Lets background work go on until everything committed is durable; false when a bad disk prevents it.</summary>
    private bool Settle()
    {
        KvasirNode node = _node!;

        // Writers come in between, so once may not be enough.
        for (int i = 0; i < 1000; i++)
        {
            node.Log.Commit();
            while (node.Log.DurablePosition < node.Replicas[0].Log.AwaitedPosition && _scheduler.RunOne())
                NoteAnswers(node);
            NoteAnswers(node);
            if (_answered == _history.Count - 1 || _durability != Durability.Sync)
                return true;
            if (node.Refusal is not null && _diskIsBad)
                return false;
            if (node.Log.DurablePosition < node.Replicas[0].Log.AwaitedPosition)
                break;
        }

        throw Broken($"nothing is left to do, and transaction {_answered + 1} of {_history.Count - 1} is not durable");
    }

    private void NoteAnswers(KvasirNode node)
    {
        while (_answered < _history.Count - 1 && _positions[_answered + 1] <= node.Log.DurablePosition)
            _answered++;
    }

    private void Close()
    {
        CheckHeldViews(0);
        CountWork(_node!);
        _closing = true;
        _node!.Dispose();
        _closing = false;
        _answered = _history.Count - 1;
        _node = null;
        _scheduler.RunAll();
        DamageAtRest();
    }

    private void Checkpoint(KvasirNode node)
    {
        Settle();
        string folder = "/checkpoint-" + ++_checkpoints;
        int before = _history.Count - 1;
        node.Checkpoint(folder);
        NoteAnswers(node);
        Count("checkpoints opened and compared");
        _checking = true;
        try
        {
            SimulatedFileSystem disk = _disk.AfterCrash(_crashRandom.Fork(), (CrashKind)_crashRandom.Next(5));
            disk.Latency = null;
            using SimulatedNode copy = new(disk, _crashRandom.Fork(), new SimulatedClock(_scheduler.Time.GetUtcNow()), this, folder);
            int found = FoundNumber(copy.Node, "in a checkpoint");
            if (found < before)
                throw Broken($"transaction {before} was durable before the checkpoint, which ends at {found}");
            CheckContent(copy.Node, found, "in a checkpoint");
            if (!copy.WriteMarker() && _durability == Durability.Sync && _databaseDurability.Count == 0)
                throw Broken("a checkpoint that was opened takes no writes");
        }
        finally
        {
            _checking = false;
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
            Engine = _options.Engine.Name,
            MemoryBytes = MemoryBudget.MinimumBytes,
            Durability = _durability,
            DatabaseDurability = _databaseDurability,
            SyncInterval = TimeSpan.FromMilliseconds(50),
            JournalBytesMax = 64 << 10,
            Journal = new JournalOptions { SegmentBytes = 32 << 10, FirstSegmentBytes = 16 << 10 },
        },
        new NodeEnvironment(disk, scheduler, [_options.Engine, .. _options.Others], seed));

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
        _broken ??= new($"seed {_options.Seed}: {what}. Replay: {_options.ReplayCommand}", inner);

    private sealed class TransactionItem(List<Action<Execution>> effects) : IMailboxItem
    {
        public LogPosition Gate { get; private set; }

        public StorageException? Refused { get; private set; }

        public void Run(Execution execution)
        {
            try
            {
                foreach (Action<Execution> effect in effects)
                    effect(execution);
                execution.Commit();
            }
            catch (StorageException e)
            {
                execution.Abandon();
                Refused = e;
            }

            Gate = execution.TakeGate().Position;
        }
    }
}
