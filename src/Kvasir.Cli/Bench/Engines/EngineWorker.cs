using System.Buffers.Binary;
using System.Diagnostics;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Cli.Bench.Engines;

/// <summary>
/// One thread of an engine workload. Everything it needs is made before it starts: an operation costs two looks at the
/// clock and no allocation of ours.
/// </summary>
internal sealed class EngineWorker
{
    private readonly BenchStore _store;
    private readonly EngineBenchOptions _options;
    private readonly EngineWorkload _workload;
    private readonly CompressibleData _data;
    private readonly SeededRandom _random;
    private readonly WriteBatch _batch = new(64 << 10);
    private readonly BytesBuffer _value = new(4096);
    private readonly byte[] _key;
    private long _operations;
    private int _place;

    public EngineWorker(BenchStore store, EngineBenchOptions options, EngineWorkload workload, CompressibleData data, SeededRandom random)
    {
        (_store, _options, _workload, _data, _random) = (store, options, workload, data, random);
        _place = CompressibleData.StartIn(random.Next(1 << 19));

        // As db_bench: the number in eight bytes, big-endian, then zeros as text. A missing key is one byte longer.
        _key = new byte[options.KeyBytes + (workload == EngineWorkload.ReadMissing ? 1 : 0)];
        _key.AsSpan().Fill((byte)'0');
    }

    public LatencyHistogram Latency { get; } = new();

    /// <summary>Operations so far; may be read by another thread.</summary>
    public long Operations => Volatile.Read(ref _operations);

    public long Found { get; private set; }

    public Exception? Failure { get; private set; }

    public void Run(Func<bool> stopped)
    {
        try
        {
            if (_workload is EngineWorkload.ReadRandom or EngineWorkload.ReadMissing or EngineWorkload.ReadWhileWriting)
                ReadKeys(stopped);
            else if (_workload == EngineWorkload.SeekRandom)
                SeekKeys(stopped);
            else
                WriteKeys(stopped);
        }
        catch (Exception e)
        {
            Failure = e;
        }
    }

    private long Limit(long chosen) =>
        _options.Duration > TimeSpan.Zero ? long.MaxValue : chosen > 0 ? chosen : _options.Keys;

    private void WriteKeys(Func<bool> stopped)
    {
        long limit = Limit(_options.Writes);
        long before = Stopwatch.GetTimestamp();
        for (long done = 0; done < limit && !stopped();)
        {
            _batch.Clear();
            for (int i = 0; i < _options.Batch && done < limit; i++, done++)
            {
                SetKey(_workload == EngineWorkload.FillSeq ? done % _options.Keys : _random.NextInt64(_options.Keys));
                if (_workload == EngineWorkload.DeleteRandom)
                    _batch.Delete(_key);
                else
                    _batch.Put(_key, _data.Next(ref _place, _options.ValueBytes));
            }

            _store.Write(_batch, _options.Sync);
            before = Measure(before, done);
        }
    }

    private void ReadKeys(Func<bool> stopped)
    {
        long limit = Limit(_options.Reads);
        long before = Stopwatch.GetTimestamp();
        for (long done = 0; done < limit && !stopped();)
        {
            SetKey(_random.NextInt64(_options.Keys));
            _value.Clear();
            if (_store.TryGet(_key, _value))
                Found++;
            before = Measure(before, ++done);
        }
    }

    private void SeekKeys(Func<bool> stopped)
    {
        long limit = Limit(_options.Reads);
        long before = Stopwatch.GetTimestamp();
        for (long done = 0; done < limit && !stopped();)
        {
            SetKey(_random.NextInt64(_options.Keys));

            // A new iterator for each seek, as db_bench makes one: what a range read of a server does.
            using (EngineScan iterator = _store.CreateScan())
            {
                iterator.Seek(_key);
                if (iterator.Valid && iterator.Key.SequenceEqual(_key))
                    Found++;
            }

            before = Measure(before, ++done);
        }
    }

    private void SetKey(long number) => BinaryPrimitives.WriteInt64BigEndian(_key, number);

    private long Measure(long before, long done)
    {
        long now = Stopwatch.GetTimestamp();
        Latency.Record((long)((now - before) * s_nanosecondsPerTick));
        Volatile.Write(ref _operations, done);
        return now;
    }

    private static readonly double s_nanosecondsPerTick = 1e9 / Stopwatch.Frequency;
}
