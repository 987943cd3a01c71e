using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Store;

/// <summary>A writer's place in the queue; used again and again.</summary>
internal sealed class QueuedWrite
{
    private const int StreamId = 0;
    private const int KeptBytes = 1 << 20;

    private readonly IWaitPoint _waitPoint;
    private readonly Func<bool> _called;
    private readonly BytesBuffer _record = new();
    private WriteBatch? _batch;
    private bool _done;
    private bool _leads;

    public QueuedWrite(IWaitPoint waitPoint)
    {
        _waitPoint = waitPoint;
        _called = () => Volatile.Read(ref _done) || Volatile.Read(ref _leads);
    }

    public WriteBatch Batch => _batch!;

    public WriteDurability Durability { get; private set; }

    public LogPosition Position { get; set; }

    public bool Applied { get; set; }

    public Exception? Failure { get; set; }

    public bool Done => Volatile.Read(ref _done);

    public void Begin(WriteBatch batch, WriteDurability durability)
    {
        _batch = batch;
        Durability = durability;
    }

    public void Clear()
    {
        _batch = null;
        Position = LogPosition.Zero;
        Applied = _done = _leads = false;
        Failure = null;
        _record.ClearAndTrim(KeptBytes);
    }

    public ReadOnlySpan<byte> Encode()
    {
        _record.Clear();
        JournalPayload.AppendEntry(_record, StreamId, Batch.Bytes);
        return _record.WrittenSpan;
    }

    /// <summary>Until another leader has done it, or this writer is to lead.</summary>
    public void Wait() => _waitPoint.WaitUntil(_called);

    public void Finish()
    {
        Volatile.Write(ref _done, true);
        _waitPoint.Pulse();
    }

    public void Appoint()
    {
        Volatile.Write(ref _leads, true);
        _waitPoint.Pulse();
    }
}
