using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Workloads;

/// <content>Snapshots and iterators, held while everything else goes on.</content>
public sealed partial class ModelWorkload
{
    private const int SnapshotsMax = 5;
    private const int IteratorsMax = 4;

    private readonly List<(EngineSnapshot Snapshot, OrderedModel Model)> _snapshots = [];
    private readonly List<HeldIterator> _iterators = [];

    private (ReadView View, OrderedModel Model) SnapshotView()
    {
        (EngineSnapshot snapshot, OrderedModel model) = _snapshots[_random.Next(_snapshots.Count)];
        return (ReadView.At(snapshot), model);
    }

    private void TakeSnapshot()
    {
        if (_snapshots.Count < SnapshotsMax)
            _snapshots.Add((_subject.Engine.CreateSnapshot(), _subject.Published));
    }

    private void DropSnapshot()
    {
        if (_snapshots.Count == 0)
            return;
        int at = _random.Next(_snapshots.Count);
        (EngineSnapshot snapshot, OrderedModel model) = _snapshots[at];
        _snapshots.RemoveAt(at);
        CompareAll(_subject.Engine, ReadView.At(snapshot), model, "in a snapshot");
        snapshot.Dispose();
        Count("snapshots compared in full");
    }

    private void OpenIterator()
    {
        if (_iterators.Count >= IteratorsMax)
            _iterators[0].Iterator.Dispose();
        if (_iterators.Count >= IteratorsMax)
            _iterators.RemoveAt(0);
        (ReadView view, OrderedModel model) = _random.OneIn(3) && _snapshots.Count > 0 ? SnapshotView() : _subject.RandomView();
        byte[] lower = _random.OneIn(2) ? [] : SomeKey(model);
        byte[] upper = _random.OneIn(2) ? [] : SomeKey(model);
        if (upper.Length != 0 && _random.OneIn(10))
            (lower, upper) = (upper, lower);
        bool keysOnly = _random.OneIn(8);
        EngineScan iterator = _subject.Engine.CreateScan(new IteratorOptions
        {
            LowerBound = lower,
            UpperBound = upper,
            View = view,
            KeysOnly = keysOnly,
            BypassCache = _random.OneIn(4),
        });
        _iterators.Add(new HeldIterator(iterator, new ModelCursor(model, lower, upper, _world.NowMs), keysOnly));
        Count("iterators opened");
    }

    private void MoveIterator()
    {
        if (_iterators.Count == 0)
            OpenIterator();
        HeldIterator held = _iterators[_random.Next(_iterators.Count)];
        _operations++;
        Count("steps of iterators");
        int move = _random.Next(24);
        if (move >= 4 && held.Cursor.Valid)
        {
            // Mostly on in one direction, so that it gets somewhere; then back.
            if (_random.OneIn(8))
                held.Forward = !held.Forward;
            if (held.Forward || held.Iterator is not EngineIterator both)
            {
                held.Iterator.Next();
                held.Cursor.Next();
            }
            else
            {
                both.Previous();
                held.Cursor.Previous();
            }
        }
        else
        {
            Seek(held, move);
        }

        CompareEntry(held.Iterator, held.Cursor, held.KeysOnly, "an iterator");
    }

    private void Seek(HeldIterator held, int move)
    {
        byte[] key = SomeKey();
        var both = held.Iterator as EngineIterator;
        switch (move)
        {
            case 0:
                held.Iterator.SeekToFirst();
                held.Cursor.SeekToFirst();
                break;
            case 1 when both is not null:
                both.SeekToLast();
                held.Cursor.SeekToLast();
                break;
            case < 12 when both is not null:
                both.SeekForPrevious(key);
                held.Cursor.SeekForPrevious(key);
                break;
            default:
                held.Iterator.Seek(key);
                held.Cursor.Seek(key);
                break;
        }
    }

    private static void CompareEntry(EngineScan iterator, ModelCursor cursor, bool keysOnly, string where)
    {
        if (iterator.Valid != cursor.Valid)
        {
            string there = iterator.Valid ? $"at {Show(iterator.Key)}" : "at no key";
            throw new ModelMismatchException($"{where} is {there}, the model {(cursor.Valid ? $"at {Show(cursor.Row.Key)}" : "at none")}");
        }

        if (!cursor.Valid)
            return;
        OrderedRow row = cursor.Row;
        if (!iterator.Key.SequenceEqual(row.Key))
            throw new ModelMismatchException($"{where} is at {Show(iterator.Key)}, the model at {Show(row.Key)}");
        if (iterator.ExpiresAtMs != row.ExpiresAtMs || (!keysOnly && !iterator.Value.SequenceEqual(row.Value)))
            throw new ModelMismatchException($"{where} has another value or deadline of {Show(row.Key)}");
    }

    private void DropViews()
    {
        foreach (HeldIterator held in _iterators)
            held.Iterator.Dispose();
        _iterators.Clear();
        while (_snapshots.Count > 0)
            DropSnapshot();
    }

    private void CompareAll(string where) => CompareAll(_subject.Engine, ReadView.Published, _subject.Published, where);

    private void CompareAll(IStorageEngine engine, ReadView view, OrderedModel model, string where)
    {
        using EngineScan iterator = engine.CreateScan(new IteratorOptions { View = view });
        var cursor = new ModelCursor(model, [], [], _world.NowMs);
        var both = iterator as EngineIterator;
        bool forward = !_random.OneIn(3) || both is null;
        if (forward)
        {
            iterator.SeekToFirst();
            cursor.SeekToFirst();
        }
        else
        {
            both!.SeekToLast();
            cursor.SeekToLast();
        }

        while (true)
        {
            CompareEntry(iterator, cursor, keysOnly: false, where);
            if (!cursor.Valid)
                return;
            if (forward)
            {
                iterator.Next();
                cursor.Next();
            }
            else
            {
                both!.Previous();
                cursor.Previous();
            }
        }
    }

    /// <summary>As the sweep walks that removes what has expired: it may still be there, but then as it was.</summary>
    private void Sweep()
    {
        OrderedModel model = _subject.Published;
        using EngineScan iterator = _subject.Engine.CreateScan(new IteratorOptions { IncludeExpired = true });
        int rank = 0;
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
        {
            while (rank < model.Count && model.IsBefore(rank, iterator.Key))
            {
                if (model[rank].IsLiveAt(_world.NowMs))
                    throw new ModelMismatchException($"a sweep passes over {Show(model[rank].Key)}");
                rank++;
            }

            if (rank == model.Count || !model[rank].Key.AsSpan().SequenceEqual(iterator.Key) || !iterator.Value.SequenceEqual(model[rank].Value))
                throw new ModelMismatchException($"a sweep meets {Show(iterator.Key)}, which is not there, or was another");
            rank++;
        }

        while (rank < model.Count)
        {
            if (model[rank++].IsLiveAt(_world.NowMs))
                throw new ModelMismatchException($"a sweep ends before {Show(model[rank - 1].Key)}");
        }

        Count("sweeps");
    }

    private sealed class HeldIterator(EngineScan iterator, ModelCursor cursor, bool keysOnly)
    {
        public EngineScan Iterator => iterator;

        public ModelCursor Cursor => cursor;

        public bool KeysOnly => keysOnly;

        public bool Forward { get; set; } = true;
    }
}
