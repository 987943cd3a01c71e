using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Store;

namespace Kvasir.Simulation.Workloads;

/// <summary>
/// An embedded store with its own journal. Each batch also writes its number, by which a restart tells how much of the
/// history is there.
/// </summary>
internal sealed class StoreSubject : ModelSubject
{
    private static readonly byte[] s_numberKey = "~number"u8.ToArray();

    private readonly WriteBatch _batch = new();
    private readonly bool _longJournal;

    // From the last batch that is certain to survive anything on; the last one may be under way.
    private List<(long Number, OrderedModel Model)> _history = [];
    private long _written;
    private long _returned;
    private long _durable;
    private NotedCrash? _crash;
    private DurableStore _store;

    public StoreSubject(ModelWorld world) : base(world)
    {
        _longJournal = world.Random.OneIn(3);
        _store = Open(Folder);
        _history.Add((0, OrderedModel.EmptyOf(_store.Engine)));
    }

    public override IStorageEngine Engine => _store.Engine;

    private string Folder => World.Root + "/store";

    public override OrderedModel Published => _history[^1].Model;

    public override void Write(IReadOnlyList<ModelMutation> mutations)
    {
        long number = ++_written;
        ModelMutation mark = ModelMutation.Put(s_numberKey, BitConverter.GetBytes(number), 0);
        OrderedModel model = Published;
        _batch.Clear();
        foreach (ModelMutation mutation in mutations)
        {
            mutation.AddTo(_batch);
            model = mutation.ApplyTo(model);
        }

        mark.AddTo(_batch);
        WriteDurability durability = World.Random.Next(10) switch
        {
            < 3 => WriteDurability.Sync,
            < 5 => WriteDurability.Interval,
            _ => WriteDurability.None,
        };
        durability = World.Durability ?? durability;
        OrderedModel before = Published;
        _history.Add((number, mark.ApplyTo(model)));
        Check.That(_history[^2].Model == before);
        _store.Write(_batch, durability);
        _returned = number;
        if (durability == WriteDurability.Sync)
            Endure(number);
    }

    public override void StepAside(Action dropViews) =>
        World.Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(World.Random.Next(400)));

    public override (ReadView View, OrderedModel Model) RandomView() => (ReadView.Published, Published);

    public override void Flush()
    {
        long returned = _returned;
        _store.Flush();
        Endure(returned);
    }

    public override void Ingest(IReadOnlyList<OrderedRow> rows)
    {
        // The store has no door for it.
    }

    public override void Checkpoint(string folder, Action<IStorageEngine, OrderedModel> compare)
    {
        long before = _returned;
        List<(long Number, OrderedModel Model)> history = [.. _history];
        _store.Checkpoint(folder);
        Endure(before);
        history.AddRange(_history.Where(h => h.Number > history[^1].Number));
        using DurableStore copy = Open(folder);
        IStorageEngine engine = copy.Engine;
        long found = NumberIn(engine);
        if (found < before || history.FindLast(h => h.Number == found) is not { Model: { } model })
            throw new ModelMismatchException($"a checkpoint has batch {found}, though {before} was written before it and {_written} was the last");
        compare(engine, model);
        _batch.Clear();
        _batch.DeleteRange([], []);
        copy.Write(_batch);
        copy.Flush();
        engine.Compact();
        compare(engine, OrderedModel.EmptyOf(engine));
    }

    public override void NoteCrash(SimulatedFileSystem left, CrashKind kind)
    {
        _crash = new NotedCrash(left, kind, kind == CrashKind.ProcessKill ? _returned : _durable, [.. _history]);
        CrashIsDue = true;
    }

    public override void Reopen()
    {
        List<(long Number, OrderedModel Model)> history = _history;
        long least = _written;
        if (_crash is { } crash)
        {
            _store.Dispose();
            World.Scheduler.RunAll();
            World.ReplaceDisk(crash.Disk);
            (history, least) = (crash.History, crash.Least);
            _crash = null;
            CrashIsDue = false;
            World.Coverage.Add($"crashes with {crash.Kind}");
        }
        else
        {
            Close();
            World.Coverage.Add("clean stops and starts");
        }

        _store = Open(Folder);
        long found = NumberIn(Engine);
        if (found < least)
            throw new ModelMismatchException($"batch {least} must be there, and {found} is the last one found");
        int at = history.FindIndex(h => h.Number == found);
        if (at < 0)
            throw new ModelMismatchException($"batch {found} is there, and {history[^1].Number} was the last one made");
        _history = [history[at]];
        _written = _returned = _durable = found;
    }

    public override void Close()
    {
        CheckFiles(Folder + "/engine");
        _store.Dispose();
        World.Scheduler.RunAll();
    }

    private static long NumberIn(IStorageEngine engine)
    {
        BytesBuffer value = new();
        return engine.Get(s_numberKey, ReadView.Published, value).Found ? BitConverter.ToInt64(value.WrittenSpan) : 0;
    }

    private void Endure(long number)
    {
        _durable = Math.Max(_durable, number);
        int known = _history.FindIndex(h => h.Number >= _durable);
        if (known > 0)
            _history.RemoveRange(0, known);
    }

    private DurableStore Open(string folder) => DurableStore.Open(
        World.Files,
        World.Scheduler,
        folder,
        World.Engines,
        new DurableStoreOptions
        {
            MemoryBytes = MemoryBudget.MinimumBytes,
            WriteMemoryBytes = World.WriteMemoryBytes,
            SyncInterval = TimeSpan.FromMilliseconds(200),
            JournalBytesMax = _longJournal ? 1 << 20 : 64 << 10,
            Journal = new JournalOptions { SegmentBytes = 64 << 10, FirstSegmentBytes = 16 << 10 },
        });

    private sealed record NotedCrash(SimulatedFileSystem Disk, CrashKind Kind, long Least, List<(long Number, OrderedModel Model)> History);
}
