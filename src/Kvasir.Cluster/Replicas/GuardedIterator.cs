using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Replicas;

/// <summary>A <see cref="GuardedScan"/> that goes both ways.</summary>
internal sealed class GuardedIterator(EngineIterator inner, IReplicaLog log) : EngineIterator
{
    private readonly GuardedScan _forward = new(inner, log);

    public override bool Valid => _forward.Valid;

    public override ReadOnlySpan<byte> Key => _forward.Key;

    public override ReadOnlySpan<byte> Value => _forward.Value;

    public override long ExpiresAtMs => _forward.ExpiresAtMs;

    public override SequenceNumber Sequence => _forward.Sequence;

    public override void SeekToFirst() => _forward.SeekToFirst();

    public override void Seek(ReadOnlySpan<byte> key) => _forward.Seek(key);

    public override void Next() => _forward.Next();

    public override void SeekToLast()
    {
        try
        {
            inner.SeekToLast();
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> key)
    {
        try
        {
            inner.SeekForPrevious(key);
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    public override void Previous()
    {
        try
        {
            inner.Previous();
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    protected override void Dispose(bool disposing) => _forward.Dispose();
}
