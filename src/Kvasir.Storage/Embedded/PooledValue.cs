using Kvasir.Primitives;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// A buffer for a value on its way to a caller, used again and again. Whoever has it knows by a number which use it is: one that is over is
/// known for what it is, and ends nobody else's.
/// </summary>
internal sealed class PooledValue
{
    /// <summary>Grows with the end of each use.</summary>
    public int Use { get; private set; }

    public BytesBuffer Bytes { get; } = new(1024);

    /// <summary>What was written in that use; throws when it is over.</summary>
    public ReadOnlySpan<byte> Read(int use)
    {
        ObjectDisposedException.ThrowIf(use != Use, typeof(ValueLease));
        return Bytes.WrittenSpan;
    }

    /// <summary>False where it was over.</summary>
    public bool TryEnd(int use)
    {
        if (use != Use)
            return false;
        Use++;
        return true;
    }
}
