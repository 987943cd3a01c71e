using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Benchmarks.Engines;

/// <summary>
/// An engine without a journal before it: what it was given is in its own files when it flushes, as with FASTER's log. It takes one
/// writer at a time, so threads take turns: for each upsert, or for as many together as the commands of a pipeline.
/// </summary>
internal sealed class EngineSubject : IHashSubject
{
    // A journal would say so for each group of commits.
    private const ulong StableTogether = 64;

    // Of the index, for each key, generously: what it takes is printed.
    private const long IndexBytesPerKey = 48;
    private const long IndexBytesTaken = 30;
    private const int BackgroundJobs = 2;

    private readonly ThreadScheduler _scheduler = new(TimeProvider.System, BackgroundJobs);
    private readonly Lock _writer = new();
    private readonly int _together;
    private readonly IStorageEngine _engine;
    private ulong _position;
    private ulong _stable;

    /// <summary><paramref name="memory"/> is for records, or for memtables and caches; the index of the log comes on top, as FASTER's does.</summary>
    public EngineSubject(string folder, string engine, long keys, long memory, int together)
    {
        _together = together;
        IEngineFactory factory = engine switch
        {
            "log" => new HashLogEngineFactory(HashLogOptions.ForMemory(memory) with { IndexBytes = (8L << 20) + (keys * IndexBytesPerKey) }),
            "lsm" => new LsmEngineFactory(),
            _ => throw new ArgumentException($"no engine '{engine}'"),
        };
        _engine = factory.Open(folder, new EngineEnvironment(new PosixFileSystem(), _scheduler, new MemoryBudget(memory + (engine == "log" ? keys * IndexBytesTaken : 0))));
    }

    public IHashWorker NewWorker() => new Worker(this);

    public void PrintOwn(long keys)
    {
        EngineStatistics statistics = _engine.GetStatistics();
        if (statistics.IndexBytes > 0)
            Cells.Print("index_bytes_a_key", statistics.IndexBytes / (double)keys);
        Cells.Print("disk_mib", statistics.DiskBytes / (double)(1 << 20));
    }

    public void Dispose()
    {
        _engine.Dispose();
        _scheduler.Dispose();
    }

    private void Write(WriteBatch batch)
    {
        lock (_writer)
        {
            while (_engine.SuggestWriteDelay(batch.Bytes.Length) is var delay && delay > TimeSpan.Zero)
                Thread.Sleep(delay);
            _engine.Stage(batch.Bytes);
            _engine.Publish(new LogPosition(++_position));
            _stable += (ulong)batch.Count;
            if (_stable >= StableTogether)
            {
                _engine.MarkStable(new LogPosition(_position));
                _stable = 0;
            }
        }

        batch.Clear();
    }

    private sealed class Worker(EngineSubject subject) : IHashWorker
    {
        private readonly WriteBatch _batch = new(64 << 10);
        private readonly BytesBuffer _value = new(4096);
        private long _found;

        public void Upsert(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            _batch.Put(key, value);
            if (_batch.Count >= subject._together)
                subject.Write(_batch);
        }

        public void Read(ReadOnlySpan<byte> key)
        {
            _value.Clear();
            if (subject._engine.Get(key, ReadView.Published, _value).Found)
                _found++;
        }

        public long Finish()
        {
            if (_batch.Count != 0)
                subject.Write(_batch);
            return _found;
        }

        public void Dispose()
        {
        }
    }
}
