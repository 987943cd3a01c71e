using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Workloads;

/// <summary>
/// Random operations on an engine (even seeds) or an embedded store (odd seeds) and on a sorted map; every answer must be
/// the same, through flushes, compactions, reopenings and crashes. Where <see cref="DiskWorkload"/> crashes everywhere in
/// short histories, this one walks everywhere in long ones.
/// </summary>
public sealed partial class ModelWorkload
{
    // Every so many changes of the disk, one crash.
    private const int ChangesPerCrash = 1500;
    private const int JobWritesPerInterruption = 12;
    private const int RowsMax = 6000;

    private readonly ModelWorld _world;
    private readonly SeededRandom _random;
    private readonly ModelSubject _subject;
    private readonly int _keys;
    private readonly int _valueBytes;
    private readonly List<ModelMutation> _mutations = [];
    private readonly BytesBuffer _value = new();
    private long _operations;
    private long _ingests;
    private int _checkpoints;
    private long _userBytes;
    private bool _quiet;
    private bool _interruptible;

    private ModelWorkload(ModelWorkloadOptions options)
    {
        _world = new ModelWorld(options);
        _random = _world.Random;
        _keys = _random.Next(4) switch { 0 => 40, 1 => 300, _ => 2500 };
        _valueBytes = _random.Next(6) switch { 0 => 5000, 1 => 12, _ => 120 };
        ModelSubjectKind kind = options.Subject ?? (options.Seed % 2 == 0 ? ModelSubjectKind.Engine : ModelSubjectKind.Store);
        _subject = kind == ModelSubjectKind.Engine ? new EngineSubject(_world) : new StoreSubject(_world);
        _world.Disk.BeforeOperation = BeforeDiskOperation;
    }

    /// <summary>Runs one seed; throws <see cref="WorkloadFailedException"/> where the two disagree.</summary>
    public static ModelWorkloadResult Run(ModelWorkloadOptions options)
    {
        ModelWorkload? workload = null;
        try
        {
            workload = new ModelWorkload(options);
            while (workload._operations < options.Operations)
                workload.Step();
            workload.End();
        }
        catch (Exception e)
        {
            string what = e is ModelMismatchException ? e.Message : $"unexpected {e.GetType().Name}: {e.Message}";
            throw new WorkloadFailedException(
                $"seed {options.Seed}, operation {workload?._operations ?? 0}: {what}. Replay: {options.ReplayCommand}", e);
        }

        ModelWorld world = workload._world;
        ulong fingerprint = world.DiskFingerprint ^ world.Disk.Fingerprint ^ world.Scheduler.Fingerprint ^ world.Random.NextUInt64();
        return new ModelWorkloadResult(options.Seed, workload._operations, fingerprint, world.Coverage);
    }

    private void Step()
    {
        switch (_random.Next(1000))
        {
            case < 360:
                Write(_random.OneIn(5) ? _random.Next(2, _random.OneIn(20) ? 150 : 20) : 1);
                break;
            case < 620:
                for (int i = _random.Next(8); i >= 0; i--)
                    Get();
                break;
            case < 850:
                for (int i = _random.Next(16); i >= 0; i--)
                    MoveIterator();
                break;
            case < 870:
                OpenIterator();
                break;
            case < 874:
                TakeSnapshot();
                break;
            case < 877:
                DropSnapshot();
                break;
            case < 930:
                RunJob();
                break;
            case < 945:
                // Now and then until everything that expires has done so.
                _world.Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(_random.Next(_random.OneIn(10) ? 100_000 : 300)));
                break;
            case < 980:
                _subject.StepAside(DropViews);
                break;
            case < 984:
                Flush();
                break;
            case < 986:
                CompactRange();
                break;
            case < 987:
                Ingest();
                break;
            case < 988:
                Checkpoint();
                break;
            case < 990:
                Sweep();
                break;
            case < 995:
                LookAtNumbers();
                break;
            default:
                if (_random.OneIn(4))
                    Reopen();
                break;
        }

        _operations++;
        if (_subject.CrashIsDue)
            Reopen();
        if (_subject.Engine.BackgroundFailure is { } failure)
            throw new ModelMismatchException($"background work failed: {failure}");
    }

    private void End()
    {
        DropViews();
        CompareAll("at the end");
        _subject.Reopen();
        CompareAll("after the last start");
        _world.Disk.BeforeOperation = null;
        _subject.Close();
    }

    private void Write(int count)
    {
        _mutations.Clear();
        if (_subject.Published.Count > RowsMax)
            _mutations.Add(ModelMutation.DeleteRange(RandomKey(), []));
        while (_mutations.Count < count)
        {
            switch (_random.Next(100))
            {
                case 0 when _random.OneIn(4):
                    _mutations.Add(DeleteRange());
                    break;
                case < 18:
                    _mutations.Add(ModelMutation.Delete(SomeKey()));
                    break;
                case < 32:
                    _mutations.Add(ModelMutation.Put(SomeKey(), RandomValue(), Math.Max(1, _world.NowMs + _random.Next(-20, _random.OneIn(3) ? 60_000 : 600))));
                    break;
                default:
                    _mutations.Add(ModelMutation.Put(SomeKey(), RandomValue(), 0));
                    break;
            }
        }

        _operations += count - 1;
        _subject.Write(_mutations);
        Count("mutations", _mutations.Count);
    }

    private ModelMutation DeleteRange()
    {
        Count("ranges deleted");
        byte[] start = _random.OneIn(30) ? [] : SomeKey();
        byte[] end = _random.OneIn(30) ? [] : _random.OneIn(6) ? SomeKey() : KeyAfter(start, _random.Next(1, 40));
        if (end.Length != 0 && start.AsSpan().SequenceCompareTo(end) > 0)
            (start, end) = (end, start);
        return ModelMutation.DeleteRange(start, end);
    }

    private void Get()
    {
        _operations++;
        (ReadView view, OrderedModel model) = _random.OneIn(4) && _snapshots.Count > 0 ? SnapshotView() : _subject.RandomView();
        Compare(model, SomeKey(model), view);
        Count("point reads");
    }

    private void Compare(OrderedModel model, byte[] key, ReadView view)
    {
        bool wantsValue = !_random.OneIn(6);
        _value.Clear();
        EntryInfo info = _subject.Engine.Get(key, view, wantsValue ? _value : null);
        OrderedRow? row = model.Find(key);
        bool live = row is not null && row.IsLiveAt(_world.NowMs);
        if (info.Found != live)
            throw new ModelMismatchException($"{view.Kind}: {Show(key)} is {(info.Found ? "" : "not ")}found, the model {(live ? "has it" : "has it not")}");
        if (live && (info.ExpiresAtMs != row!.ExpiresAtMs || info.ValueLength != row.Value.Length
            || (wantsValue && !_value.WrittenSpan.SequenceEqual(row.Value))))
            throw new ModelMismatchException($"{view.Kind}: {Show(key)} has another value or deadline");
    }

    /// <summary>Work in the background, which the hook of the disk interrupts.</summary>
    private void RunJob()
    {
        _interruptible = true;
        try
        {
            _world.Scheduler.RunOne();
        }
        finally
        {
            _interruptible = false;
        }
    }

    private void Flush()
    {
        _subject.Flush();
        Count("flushes asked for");
    }

    private void CompactRange()
    {
        byte[] start = _random.OneIn(2) ? [] : SomeKey();
        byte[] end = _random.OneIn(2) ? [] : SomeKey();
        if (end.Length != 0 && start.AsSpan().SequenceCompareTo(end) > 0)
            (start, end) = (end, start);
        if (_subject.Engine is IOrderedEngine ordered)
            ordered.CompactRange(start, end);
        else
            _subject.Engine.Compact();
        Count("ranges compacted");
    }

    private void Ingest()
    {
        // Keys of their own, which later operations overwrite and delete as any other.
        string prefix = $"in:{++_ingests:D6}:";
        List<OrderedRow> rows = [];
        for (int i = _random.Next(1, 200); i >= 0; i--)
            rows.Add(new OrderedRow(System.Text.Encoding.ASCII.GetBytes($"{prefix}{rows.Count:D4}"), RandomValue(), 0));
        _subject.Ingest(rows);
    }

    private void Checkpoint()
    {
        string folder = _world.Root + "/checkpoint-" + ++_checkpoints;
        _subject.Checkpoint(folder, (engine, model) => CompareAll(engine, ReadView.Published, model, "in a checkpoint"));
        _world.RemoveFolder(folder);
        CompareAll("after a checkpoint");
        Count("checkpoints opened, compared, emptied");
    }

    private void Reopen()
    {
        DropViews();
        if (_random.OneIn(3))
            _world.ChangeSettings();
        _quiet = true;
        _subject.Reopen();
        _quiet = false;
        _userBytes = 0;
        CompareAll("after a start");
    }

    /// <summary>Numbers that may be rough, but not absurd.</summary>
    private void LookAtNumbers()
    {
        EngineStatistics s = _subject.Engine.GetStatistics();
        long[] numbers =
        [
            s.MemoryBytes, s.MemTableBytes, s.CacheBytes, s.CacheHits, s.CacheMisses, s.DiskBytes, s.FlushBytesWritten,
            s.CompactionBytesRead, s.CompactionBytesWritten, s.CompactionDebtBytes, s.StallMicroseconds, s.EstimatedKeys,
        ];
        if (numbers.Any(n => n < 0) || (s.Levels.Count > 0 && s.Levels.Sum(l => l.Bytes) != s.DiskBytes) || s.UserBytesWritten < _userBytes
            || s.MemoryBytes > MemoryBudget.MinimumBytes * 2)
            throw new ModelMismatchException($"statistics that cannot be: {s}");
        _userBytes = s.UserBytesWritten;

        long all = _subject.Engine.EstimateSize([], []);
        byte[] key = SomeKey();
        long halves = _subject.Engine.EstimateSize([], key) + _subject.Engine.EstimateSize(key, []);
        long most = s.DiskBytes + s.MemTableBytes;
        if (all < 0 || all > most || Math.Abs(halves - all) > (all / 2) + (64 << 10))
            throw new ModelMismatchException($"sizes that cannot be: {all} in all, {halves} in two halves, {most} there");
        Count("statistics and sizes looked at");
    }

    /// <summary>Changes of the disk: the instants at which a machine may stop, and other threads come in between.</summary>
    private void BeforeDiskOperation(DiskOperation operation)
    {
        if (_quiet || operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Open)
            return;
        if (!_subject.CrashIsDue && _random.OneIn(ChangesPerCrash))
        {
            CrashKind kind = (CrashKind)_random.Next(5);
            _subject.NoteCrash(_world.Disk.AfterCrash(_random.Fork(), kind), kind);
        }

        // Only while data files are written: elsewhere locks may be held that another thread would wait for, and this would not.
        if (!_interruptible || !_world.Scheduler.IsRunningJob || !DataFiles.Are(operation.Path) || DataFiles.IsTree(operation.Path)
            || operation.Kind is not (DiskOperationKind.Create or DiskOperationKind.Write or DiskOperationKind.Sync)
            || !_random.OneIn(JobWritesPerInterruption))
            return;
        _interruptible = false;
        Interrupt();
        _interruptible = true;
    }

    private void Interrupt()
    {
        Count("interruptions of background work");
        switch (_random.Next(6))
        {
            case 0:
                TakeSnapshot();
                break;
            case 1:
                OpenIterator();
                break;
            case 2:
                for (int i = 0; i < 5; i++)
                    Get();
                break;
            case 3:
                if (_world.Scheduler.RunOne())
                    Count("jobs inside other jobs");
                break;
            default:
                if (_subject.Engine.SuggestWriteDelay(0) == TimeSpan.Zero)
                    Write(_random.Next(1, 10));
                break;
        }
    }

    private byte[] SomeKey() => SomeKey(_subject.Published);

    /// <summary>A key that is there, or any.</summary>
    private byte[] SomeKey(OrderedModel model) =>
        model.Count > 0 && _random.OneIn(2) ? model[_random.Next(model.Count)].Key : RandomKey();

    /// <summary>A key some rows behind another one.</summary>
    private byte[] KeyAfter(byte[] key, int rows)
    {
        OrderedModel model = _subject.Published;
        int rank = model.RankOf(key) + rows;
        return rank < model.Count ? model[rank].Key : RandomKey();
    }

    // Of uneven lengths, some the beginning of others, some with zeros, so that every way of sharing a prefix occurs.
    private byte[] RandomKey()
    {
        int number = _random.Next(_keys);
        string text = (number % 5) switch
        {
            0 => $"k{number:D9}",
            1 => $"k{number}",
            2 => $"key:with:a:long:prefix:that:blocks:share:{number:D5}",
            3 => new string('\0', number % 7) + (char)(number % 256),
            _ => $"k{number % 50}{new string('z', number / 50 % 60)}",
        };
        return System.Text.Encoding.Latin1.GetBytes(text);
    }

    private byte[] RandomValue()
    {
        byte[] value = new byte[_random.OneIn(60) ? _random.Next(4000) : _random.Next(_valueBytes)];
        if (_random.OneIn(3))
            Array.Fill(value, (byte)_random.Next(256));
        else
            _random.NextBytes(value);
        return value;
    }

    private static string Show(ReadOnlySpan<byte> key) => Convert.ToHexString(key);

    private void Count(string what, long count = 1) => _world.Coverage.Add(what, count);
}
