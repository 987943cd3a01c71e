using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <summary>
/// An engine below an imagined log, which this owns: it publishes some of what it stages, tells later that it is stable,
/// forgets some of what is not, and after a restart gives again what the engine had not flushed.
/// </summary>
internal sealed class EngineSubject : ModelSubject
{
    // Publications that a crash may take, at most.
    private const int UnstableMax = 40;

    private readonly WriteBatch _batch = new();
    private readonly BytesBuffer _staged = new();

    // The log: what it holds, and what should be visible after each record; the first entry is what is stable at least.
    private List<LogRecord> _log = [];
    private List<(ulong Position, OrderedModel Model)> _history = [];
    private OrderedModel _applied;
    private ulong _position;
    private ulong _stable;
    private (OrderedModel Before, OrderedRow First, OrderedModel After)? _ingesting;
    private NotedCrash? _crash;
    private MemoryBudget _budget;
    private IStorageEngine _engine;

    public EngineSubject(ModelWorld world) : base(world)
    {
        _budget = world.NewBudget();
        _engine = Open(Folder, _budget);
        _applied = OrderedModel.EmptyOf(_engine);
        _history.Add((0, _applied));
    }

    public override IStorageEngine Engine => _engine;

    private string Folder => World.Root + "/engine";

    public override OrderedModel Published => _history[^1].Model;

    public override void Write(IReadOnlyList<ModelMutation> mutations)
    {
        if (_engine.SuggestWriteDelay(0) > TimeSpan.Zero)
        {
            Publish();
            MarkStable(_position);
            World.PauseAsSuggested(_engine);
        }

        _batch.Clear();
        foreach (ModelMutation mutation in mutations)
        {
            mutation.AddTo(_batch);
            _applied = mutation.ApplyTo(_applied);
        }

        _engine.Stage(_batch.Bytes);
        _staged.Append(_batch.Bytes);
        if (!World.Random.OneIn(3))
            Publish();
        if (_history.Count > UnstableMax)
            MarkStable(_history[World.Random.Next(_history.Count)].Position);
    }

    public override void StepAside(Action dropViews)
    {
        switch (World.Random.Next(8))
        {
            case < 3:
                Publish();
                break;
            case < 7:
                // Now and then ahead of what is published, as a log of several engines is.
                MarkStable(World.Random.OneIn(3) ? _position : _history[World.Random.Next(_history.Count)].Position);
                break;
            default:
                dropViews();
                Discard();
                break;
        }
    }

    public override (ReadView View, OrderedModel Model) RandomView() => World.Random.Next(6) switch
    {
        0 => (ReadView.Applied, _applied),
        1 => (ReadView.Stable, StableModel()),
        _ => (ReadView.Published, Published),
    };

    public override void Flush()
    {
        ulong published = _engine.PublishedPosition.Value;
        _engine.Flush();
        if (World.Random.OneIn(3))
            return;
        bool all = _stable >= published;
        _engine.WaitForFlush();
        if (all && _engine.FlushedPosition.Value < published)
            throw new ModelMismatchException($"flushed up to {_engine.FlushedPosition}, though {published} was stable before");
    }

    public override void Ingest(IReadOnlyList<OrderedRow> rows)
    {
        Publish();
        MarkStable(_position);
        OrderedModel after = rows.Aggregate(Published, (model, row) => model.Put(row));
        _ingesting = (Published, rows[0], after);
        _engine.Ingest(rows.Select(r => KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(r.Key, r.Value)));
        _ingesting = null;
        _applied = after;
        _history = [(_position, after)];
        _log.Clear();
        World.Coverage.Add("rows ingested", rows.Count);
    }

    public override void Checkpoint(string folder, Action<IStorageEngine, OrderedModel> compare)
    {
        Publish();
        MarkStable(_position);
        using (EngineCheckpoint moment = _engine.BeginCheckpoint())
            moment.WriteTo(folder);
        MemoryBudget budget = World.NewBudget();
        IStorageEngine copy = Open(folder, budget);
        ulong flushed = copy.FlushedPosition.Value;
        compare(copy, _history.Last(h => h.Position <= flushed || h == _history[0]).Model);

        // What the copy does to its tables must not touch the original, which has the same files.
        _batch.Clear();
        _batch.DeleteRange([], []);
        copy.MarkStable(LogPosition.Max);
        copy.Stage(_batch.Bytes);
        copy.Publish(new LogPosition(flushed + 1));
        copy.Flush();
        copy.WaitForFlush();
        copy.Compact();
        compare(copy, OrderedModel.EmptyOf(copy));
        copy.Dispose();
        World.Scheduler.RunAll();
        CheckMemory(budget);
    }

    public override void NoteCrash(SimulatedFileSystem left, CrashKind kind)
    {
        // The log is on a disk of its own here: it has what is stable, and of the rest a prefix.
        (ulong position, OrderedModel model) = _history[World.Random.Next(_history.Count)];
        ulong cut = Math.Max(position, _stable);
        _crash = new NotedCrash(left, kind, cut, model, [.. _log.Where(r => r.Position <= cut)], _ingesting);
        CrashIsDue = true;
    }

    public override void Reopen()
    {
        Forget(withStaged: true);
        if (_crash is not { } crash)
        {
            Publish();
            if (World.Random.OneIn(2))
                MarkStable(_position);
            Close();
            Start(_position, Published, ingesting: null);
            World.Coverage.Add("clean stops and starts");
            return;
        }

        _engine.Dispose();
        World.Scheduler.RunAll();
        CheckMemory(_budget);
        World.ReplaceDisk(crash.Disk);
        _log = crash.Log;
        _crash = null;
        CrashIsDue = false;
        Start(crash.Cut, crash.Model, crash.Ingesting);
        World.Coverage.Add($"crashes with {crash.Kind}");
    }

    public override void Close()
    {
        CheckFiles(Folder);
        _engine.Dispose();
        World.Scheduler.RunAll();
        CheckMemory(_budget);
    }

    private void Start(ulong cut, OrderedModel model, (OrderedModel Before, OrderedRow First, OrderedModel After)? ingesting)
    {
        _budget = World.NewBudget();
        _engine = Open(Folder, _budget);
        ulong flushed = _engine.FlushedPosition.Value;
        if (flushed > cut)
            throw new ModelMismatchException($"flushed up to {flushed}, though the log is stable up to {cut} only");
        GiveAgain([.. _log.Where(r => r.Position > flushed)]);

        // An ingest that was under way is there as a whole, or not at all.
        if (ingesting is { } ingest && model == ingest.Before && _engine.Get(ingest.First.Key, ReadView.Published, value: null).Found)
        {
            model = ingest.After;
            World.Coverage.Add("crashes inside an ingest that is found done");
        }

        _position = Math.Max(_position, cut);
        _stable = cut;
        _history = [(cut, model)];
        _applied = model;
        _staged.Clear();
    }

    /// <summary>One by one, or several at once, as a start and a follower do.</summary>
    private void GiveAgain(LogRecord[] records)
    {
        for (int next = 0; next < records.Length;)
        {
            LogRecord[] together = records[next..Math.Min(records.Length, next + 1 + (World.Random.OneIn(2) ? World.Random.Next(40) : 0))];
            next += together.Length;
            var position = new LogPosition(together[^1].Position);
            _engine.MarkStable(position);
            World.PauseAsSuggested(_engine);
            if (together.Length == 1)
            {
                _engine.Stage(together[0].Bytes);
                _engine.Publish(position);
            }
            else
            {
                var payloads = new BytesBuffer();
                var batches = new List<LoggedBatch>();
                foreach (LogRecord record in together)
                {
                    batches.Add(new LoggedBatch(payloads.Length, record.Bytes.Length, new LogPosition(record.Position)));
                    payloads.Append(record.Bytes);
                }

                _engine.Apply(payloads.WrittenSpan, batches.ToArray());
                World.Coverage.Add("log records given again together", together.Length);
            }

            World.Coverage.Add("log records given again", together.Length);
        }
    }

    private IStorageEngine Open(string folder, MemoryBudget budget) => World.Engines.Open(
        folder, new EngineEnvironment(World.Files, World.Scheduler, budget));

    private OrderedModel StableModel() => _history.Last(h => h.Position <= _stable || h == _history[0]).Model;

    private void Publish()
    {
        if (_staged.Length == 0)
            return;
        _position += 1 + (ulong)World.Random.Next(3);
        _log.Add(new LogRecord(_position, _staged.WrittenSpan.ToArray()));
        _history.Add((_position, _applied));
        _staged.Clear();
        _engine.Publish(new LogPosition(_position));
    }

    private void MarkStable(ulong position)
    {
        _stable = Math.Max(_stable, position);
        _engine.MarkStable(new LogPosition(position));
        int known = _history.FindLastIndex(h => h.Position <= _stable);
        if (known > 0)
            _history.RemoveRange(0, known);
        ulong flushed = _engine.FlushedPosition.Value;
        if (flushed > _stable)
            throw new ModelMismatchException($"flushed up to {flushed}, though only {_stable} is stable");
        _log.RemoveAll(r => r.Position <= flushed);
    }

    /// <summary>The log lost some of its end: what was published after it never happened.</summary>
    private void Discard()
    {
        (ulong position, _) = _history[World.Random.Next(_history.Count)];
        position = Math.Max(position, _stable);
        _engine.DiscardAfter(new LogPosition(position));
        _log.RemoveAll(r => r.Position > position);
        _history.RemoveAll(h => h.Position > position && h != _history[0]);
        Forget(withStaged: false);
        World.Coverage.Add("publications discarded");
    }

    private void Forget(bool withStaged)
    {
        if (withStaged && _staged.Length > 0)
            _engine.DiscardAfter(new LogPosition(Math.Max(_position, _stable)));
        _applied = Published;
        _staged.Clear();
    }

    private sealed record LogRecord(ulong Position, byte[] Bytes);

    private sealed record NotedCrash(
        SimulatedFileSystem Disk, CrashKind Kind, ulong Cut, OrderedModel Model, List<LogRecord> Log,
        (OrderedModel Before, OrderedRow First, OrderedModel After)? Ingesting);
}
