using System.Numerics;
using FASTER.core;

namespace Kvasir.Benchmarks.Engines;

/// <summary>
/// Microsoft.FASTER.Core with its log on disk, used as its own benchmarks use it: contexts without a lookup of the epoch at each
/// operation, many reads of the disk under way at once, no locks where one thread is alone.
/// </summary>
internal sealed class FasterSubject : IHashSubject
{
    private readonly IDevice _log;
    private readonly FasterKV<SpanByte, SpanByte> _store;

    /// <summary><paramref name="memory"/> is for records; the index comes on top: a bucket of 64 bytes for two keys, as its authors advise.</summary>
    public FasterSubject(string folder, long keys, int threads, long memory)
    {
        _log = Devices.CreateLogDevice(Path.Combine(folder, "faster.log"), deleteOnClose: true);
        _store = new FasterKV<SpanByte, SpanByte>(
            (long)BitOperations.RoundUpToPowerOf2((ulong)Math.Max(keys / 2, 1024)),
            new LogSettings { LogDevice = _log, MemorySizeBits = BitOperations.Log2((ulong)memory) },
            concurrencyControlMode: threads == 1 ? ConcurrencyControlMode.None : ConcurrencyControlMode.RecordIsolation);
    }

    public IHashWorker NewWorker() => new Worker(_store);

    public void PrintOwn(long keys)
    {
        const int BucketBytes = 64;
        Cells.Print("index_bytes_a_key", _store.IndexSize * (double)BucketBytes / keys);
        Cells.Print("log_mib", _store.Log.TailAddress / (double)(1 << 20));
    }

    public void Dispose()
    {
        _store.Dispose();
        _log.Dispose();
    }

    private sealed unsafe class Worker : IHashWorker
    {
        private const int OutstandingMax = 256;
        private const int RefreshEvery = 256;

        private readonly Functions _functions = new();
        private readonly ClientSession<SpanByte, SpanByte, SpanByte, SpanByteAndMemory, Empty, IFunctions<SpanByte, SpanByte, SpanByte, SpanByteAndMemory, Empty>> _session;
        private readonly UnsafeContext<SpanByte, SpanByte, SpanByte, SpanByteAndMemory, Empty, IFunctions<SpanByte, SpanByte, SpanByte, SpanByteAndMemory, Empty>> _context;
        private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(4096, pinned: true);
        private int _outstanding;
        private int _operations;

        public Worker(FasterKV<SpanByte, SpanByte> store)
        {
            _session = store.NewSession<SpanByte, SpanByteAndMemory, Empty>(_functions);
            _context = _session.UnsafeContext;
            _context.BeginUnsafe();
        }

        public void Upsert(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            fixed (byte* keyBytes = key, valueBytes = value)
            {
                var keySpan = SpanByte.FromPointer(keyBytes, key.Length);
                var valueSpan = SpanByte.FromPointer(valueBytes, value.Length);
                if (_context.Upsert(ref keySpan, ref valueSpan).IsPending)
                    _outstanding++;
            }

            Breathe();
        }

        public void Read(ReadOnlySpan<byte> key)
        {
            fixed (byte* keyBytes = key, output = _buffer)
            {
                var keySpan = SpanByte.FromPointer(keyBytes, key.Length);
                var outputSpan = new SpanByteAndMemory(SpanByte.FromPointer(output, _buffer.Length));
                Status status = _context.Read(ref keySpan, ref outputSpan);
                if (status.IsPending)
                    _outstanding++;
                else if (status.Found)
                    _functions.Found++;
            }

            Breathe();
        }

        public long Finish()
        {
            _context.CompletePending(wait: true);
            return _functions.Found;
        }

        public void Dispose()
        {
            _context.EndUnsafe();
            _session.Dispose();
        }

        private void Breathe()
        {
            if (_outstanding >= OutstandingMax)
            {
                _context.CompletePending(wait: true);
                _outstanding = 0;
            }

            if (++_operations % RefreshEvery == 0)
                _context.Refresh();
        }
    }

    private sealed class Functions : SpanByteFunctions<Empty>
    {
        public long Found { get; set; }

        public override void ReadCompletionCallback(
            ref SpanByte key, ref SpanByte input, ref SpanByteAndMemory output, Empty ctx, Status status, RecordMetadata recordMetadata)
        {
            if (status.Found)
                Found++;
            output.Memory?.Dispose();
        }
    }
}
