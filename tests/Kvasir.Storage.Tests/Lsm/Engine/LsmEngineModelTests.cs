using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>Random histories on the engine and on the model; every answer must be the same.</summary>
public class LsmEngineModelTests
{
    [Theory]
    [InlineData(1, 400)]
    [InlineData(2, 400)]
    [InlineData(3, 60)]
    public void RandomHistoriesAgreeWithTheModel(int group, int keys)
    {
        for (ulong seed = 0; seed < 25; seed++)
            Run(((ulong)group << 32) | seed, keys, operations: 1500);
    }

    private static void Run(ulong seed, int keys, int operations)
    {
        var history = new History(seed, keys);
        try
        {
            for (int i = 0; i < operations; i++)
                history.Step();
            history.End();
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"seed {seed}, keys {keys}, step {history.Steps}: {exception.Message}", exception);
        }
    }

    private sealed class History
    {
        private readonly SeededRandom _random;
        private readonly int _keys;
        private readonly SimulatedScheduler _scheduler;
        private readonly EngineEnvironment _environment;
        private readonly FakeTableFiles _files = new();
        private readonly ModelEngine _model;
        private readonly WriteBatch _batch = new();
        private readonly BytesBuffer _x = new();
        private readonly BytesBuffer _y = new();
        private readonly List<(EngineSnapshot Model, EngineSnapshot Engine)> _snapshots = [];
        private readonly List<(EngineIterator Model, EngineIterator Engine)> _iterators = [];
        private BufferedEngine _engine;
        private LogPosition _log;
        private LogPosition _stable;
        private bool _sequencesAgree = true;

        public History(ulong seed, int keys)
        {
            _random = new SeededRandom(seed);
            _keys = keys;
            _scheduler = new SimulatedScheduler(_random.Fork());
            var files = new SimulatedFileSystem(_random.Fork());
            files.CreateFolder("/model");
            _environment = new EngineEnvironment(files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
            _model = ModelEngine.Open("/model", _environment);
            _engine = Open();
        }

        public int Steps { get; private set; }

        public void Step()
        {
            Steps++;
            switch (_random.Next(40))
            {
                case < 12:
                    Stage();
                    break;
                case < 18:
                    Publish();
                    break;
                case 18:
                    Publish();
                    Apply();
                    break;
                case < 22:
                    MarkStable();
                    break;
                case 22:
                    Discard();
                    break;
                case < 28:
                    for (int i = _random.Next(20); i >= 0; i--)
                        CompareGet();
                    break;
                case 28:
                    _snapshots.Add((_model.CreateSnapshot(), _engine.CreateSnapshot()));
                    break;
                case 29 when _snapshots.Count > 0:
                    DropSnapshot(_random.Next(_snapshots.Count));
                    break;
                case 30:
                    OpenIterator();
                    break;
                case < 35 when _iterators.Count > 0:
                    Walk();
                    break;
                case 35 when _iterators.Count > 0:
                    DropIterator(_random.Next(_iterators.Count));
                    break;
                case 36:
                    Flush();
                    break;
                case 37:
                    _scheduler.RunOne();
                    break;
                case 38:
                    _scheduler.Pause(TimeSpan.FromMilliseconds(_random.Next(50)));
                    break;
                default:
                    if (_random.OneIn(4))
                        Reopen();
                    break;
            }

            Assert.Equal(_model.PublishedPosition, _engine.PublishedPosition);
            if (_sequencesAgree)
            {
                Assert.Equal(_model.LastSequence, _engine.LastSequence);
                Assert.Equal(_model.StableSequence, _engine.StableSequence);
            }

            Assert.True(_engine.FlushedPosition <= _stable || _engine.FlushedPosition == default);
        }

        public void End()
        {
            CompareAll();
            DropViews();
            _engine.Dispose();
            _scheduler.RunAll();
            Assert.Equal(0, _environment.Memory.WriteBytes);
            Assert.Equal(0, _environment.Memory.CacheBytes);
        }

        private BufferedEngine Open() => new(
            new FakeTableStore(_files), _environment, new LsmOptions { MemTableBytes = 20_000, BackgroundJobsMax = 2, KeepsFlushedRows = true });

        private byte[] Key()
        {
            int number = _random.Next(_keys);
            string text = (number % 3) switch
            {
                0 => "k" + number.ToString("D9", CultureInfo.InvariantCulture),
                1 => "k" + number.ToString(CultureInfo.InvariantCulture),
                _ => new string('\0', number % 11) + (char)number,
            };
            return Encoding.Latin1.GetBytes(text);
        }

        private void Stage()
        {
            Fill();
            _model.Stage(_batch.Bytes);
            _engine.Stage(_batch.Bytes);
        }

        private void Fill()
        {
            _batch.Clear();
            int count = 1 + _random.Next(_random.OneIn(10) ? 100 : 4);
            for (int i = 0; i < count; i++)
            {
                switch (_random.Next(40))
                {
                    case < 6:
                        _batch.Delete(Key());
                        break;
                    case 6 when _random.OneIn(2):
                        DeleteRange();
                        break;
                    case < 12:
                        _batch.Put(Key(), Value(), NowMs + _random.Next(-20, 400));
                        break;
                    default:
                        _batch.Put(Key(), Value());
                        break;
                }
            }
        }

        /// <summary>Many batches of a log; all with the same stability, so that the two need not agree on what lies between.</summary>
        private void Apply()
        {
            var payloads = new BytesBuffer();
            var batches = new List<LoggedBatch>();
            LogPosition? last = null;
            for (int left = _random.Next(60); left >= 0; left--)
            {
                if (_random.OneIn(8))
                    _batch.Clear();
                else
                    Fill();
                if (batches.Count == 0 || !_random.OneIn(5))
                    _log = new LogPosition(_log.Value + 1 + (ulong)_random.Next(3));
                payloads.Append([1, 2, 3]);
                batches.Add(new LoggedBatch(payloads.Length, _batch.Bytes.Length, _log));
                payloads.Append(_batch.Bytes);
                _model.Stage(_batch.Bytes);
                if (_batch.Count != 0)
                    last = _log;
            }

            _engine.Apply(payloads.WrittenSpan, batches.ToArray());
            if (last is { } position)
                _model.Publish(position);
        }

        private void DeleteRange()
        {
            byte[] start = _random.OneIn(5) ? [] : Key();
            byte[] end = _random.OneIn(5) ? [] : Key();
            if (end.Length != 0 && start.AsSpan().SequenceCompareTo(end) > 0)
                (start, end) = (end, start);
            _batch.DeleteRange(start, end);
        }

        private byte[] Value()
        {
            byte[] value = new byte[_random.OneIn(50) ? _random.Next(100_000) : _random.Next(60)];
            _random.NextBytes(value);
            return value;
        }

        private long NowMs => _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

        private void Publish()
        {
            _log = new LogPosition(_log.Value + 1 + (ulong)_random.Next(3));
            _model.Publish(_log);
            _engine.Publish(_log);
        }

        private void MarkStable()
        {
            ulong ahead = _log.Value - _stable.Value;
            _stable = new LogPosition(_stable.Value + (ulong)_random.NextInt64((long)ahead + 1));
            _model.MarkStable(_stable);
            _engine.MarkStable(_stable);
        }

        private void Discard()
        {
            // Views made before may still show what is forgotten; the two need not agree on that.
            DropViews();
            _log = new LogPosition(_stable.Value + (ulong)_random.NextInt64((long)(_log.Value - _stable.Value) + 1));
            _model.DiscardAfter(_log);
            _engine.DiscardAfter(_log);
            _sequencesAgree = false;
        }

        private void CompareGet()
        {
            byte[] key = Key();
            ReadView model = ReadView.Published, engine = ReadView.Published;
            switch (_random.Next(4))
            {
                case 0:
                    model = engine = ReadView.Applied;
                    break;
                case 1:
                    model = engine = ReadView.Stable;
                    break;
                case 2 when _snapshots.Count > 0:
                    (EngineSnapshot x, EngineSnapshot y) = _snapshots[_random.Next(_snapshots.Count)];
                    (model, engine) = (ReadView.At(x), ReadView.At(y));
                    break;
            }

            _x.Clear();
            _y.Clear();
            bool wantsValue = !_random.OneIn(5);
            EntryInfo a = _model.Get(key, model, wantsValue ? _x : null);
            EntryInfo b = _engine.Get(key, engine, wantsValue ? _y : null);
            Assert.Equal(a.Found, b.Found);
            Assert.True(_x.WrittenSpan.SequenceEqual(_y.WrittenSpan), "values differ");
            if (!a.Found)
                return;
            Assert.Equal((a.ExpiresAtMs, a.ValueLength), (b.ExpiresAtMs, b.ValueLength));
            if (_sequencesAgree)
                Assert.Equal(a.Sequence, b.Sequence);
        }

        private void OpenIterator()
        {
            byte[] lower = _random.OneIn(2) ? [] : Key();
            byte[] upper = _random.OneIn(2) ? [] : Key();
            ReadView model = ReadView.Published, engine = ReadView.Published;
            if (_random.OneIn(3))
                model = engine = ReadView.Stable;
            else if (_random.OneIn(3))
                model = engine = ReadView.Applied;
            else if (_snapshots.Count > 0 && _random.OneIn(2))
                (model, engine) = (ReadView.At(_snapshots[0].Model), ReadView.At(_snapshots[0].Engine));
            _iterators.Add((
                _model.CreateIterator(new IteratorOptions { LowerBound = lower, UpperBound = upper, View = model }),
                _engine.CreateIterator(new IteratorOptions { LowerBound = lower, UpperBound = upper, View = engine })));
        }

        private void Walk()
        {
            (EngineIterator x, EngineIterator y) = _iterators[_random.Next(_iterators.Count)];
            for (int i = _random.Next(30); i >= 0; i--)
            {
                byte[] key = Key();
                int move = _random.Next(12);
                foreach (EngineIterator iterator in new[] { x, y })
                {
                    if (move == 0)
                        iterator.SeekToFirst();
                    else if (move == 1)
                        iterator.SeekToLast();
                    else if (move == 2)
                        iterator.SeekForPrevious(key);
                    else if (move == 3 || !iterator.Valid)
                        iterator.Seek(key);
                    else if (move % 2 == 0)
                        iterator.Next();
                    else
                        iterator.Previous();
                }

                CompareEntry(x, y);
            }
        }

        private void CompareEntry(EngineIterator x, EngineIterator y)
        {
            Assert.Equal(x.Valid, y.Valid);
            if (!x.Valid)
                return;
            Assert.True(x.Key.SequenceEqual(y.Key), $"at {Convert.ToHexString(x.Key)}, found {Convert.ToHexString(y.Key)}");
            Assert.True(x.Value.SequenceEqual(y.Value), "an iterator's values differ");
            Assert.Equal(x.ExpiresAtMs, y.ExpiresAtMs);
            if (_sequencesAgree)
                Assert.Equal(x.Sequence, y.Sequence);
        }

        private void CompareAll()
        {
            using EngineIterator x = _model.CreateIterator(new IteratorOptions { View = ReadView.Applied });
            using EngineIterator y = _engine.CreateIterator(new IteratorOptions { View = ReadView.Applied });
            x.SeekToFirst();
            y.SeekToFirst();
            for (; x.Valid; x.Next(), y.Next())
                CompareEntry(x, y);
            Assert.False(y.Valid);
        }

        private void Flush()
        {
            _engine.Flush();
            if (_random.OneIn(2))
                return;
            LogPosition published = _engine.PublishedPosition;
            _engine.WaitForFlush();
            if (published <= _stable)
                Assert.Equal(published, _engine.FlushedPosition);
        }

        // The log is played again from where the engine's files end: here, the model's content must be in the files.
        private void Reopen()
        {
            DropViews();
            _model.DiscardAfter(_log);
            _engine.DiscardAfter(_log);
            _model.MarkStable(_log);
            _engine.MarkStable(_log);
            _stable = _log;
            _engine.Flush();
            _engine.WaitForFlush();
            Assert.Null(_engine.OldestUnflushedPosition);
            _engine.Dispose();
            Assert.Equal(0, _environment.Memory.WriteBytes);
            _engine = Open();
            _sequencesAgree &= _engine.LastSequence == _model.LastSequence;
            CompareAll();
        }

        private void DropSnapshot(int index)
        {
            _snapshots[index].Model.Dispose();
            _snapshots[index].Engine.Dispose();
            _snapshots.RemoveAt(index);
        }

        private void DropIterator(int index)
        {
            _iterators[index].Model.Dispose();
            _iterators[index].Engine.Dispose();
            _iterators.RemoveAt(index);
        }

        private void DropViews()
        {
            while (_snapshots.Count > 0)
                DropSnapshot(0);
            while (_iterators.Count > 0)
                DropIterator(0);
        }
    }
}
