using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Replicas;

/// <summary>Tells the replica's log of damage that a walk over its keys meets, as a read of one key does.</summary>
internal sealed class GuardedScan(EngineScan inner, IReplicaLog log) : EngineScan
{
    public override bool Valid => inner.Valid;

    public override ReadOnlySpan<byte> Key => inner.Key;

    public override ReadOnlySpan<byte> Value
    {
        get
        {
            // It may be read only now.
            try
            {
                return inner.Value;
            }
            catch (CorruptionException e)
            {
                log.Damaged(e);
                throw;
            }
        }
    }

    public override long ExpiresAtMs => inner.ExpiresAtMs;

    public override SequenceNumber Sequence => inner.Sequence;

    public override void SeekToFirst()
    {
        try
        {
            inner.SeekToFirst();
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    public override void Seek(ReadOnlySpan<byte> key)
    {
        try
        {
            inner.Seek(key);
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    public override void Next()
    {
        try
        {
            inner.Next();
        }
        catch (CorruptionException e)
        {
            log.Damaged(e);
            throw;
        }
    }

    protected override void Dispose(bool disposing) => inner.Dispose();
}
