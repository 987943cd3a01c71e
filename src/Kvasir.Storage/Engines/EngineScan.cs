using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>Where a scan may go.</summary>
public readonly ref struct IteratorOptions
{
    /// <summary>First key allowed; empty for none.</summary>
    public ReadOnlySpan<byte> LowerBound { get; init; }

    /// <summary>First key not allowed; empty for no bound.</summary>
    public ReadOnlySpan<byte> UpperBound { get; init; }

    /// <summary>What the scan sees, fixed at its creation.</summary>
    public ReadView View { get; init; }

    /// <summary>The caller will not look at values.</summary>
    public bool KeysOnly { get; init; }

    /// <summary>Show keys whose deadline has passed, too: for the sweep that removes them.</summary>
    public bool IncludeExpired { get; init; }

    /// <summary>For long scans: do not push hot blocks out of the cache.</summary>
    public bool BypassCache { get; init; }
}

/// <summary>
/// Walks live keys in the engine's own order. One thread at a time. Spans are valid until the next move. Sees one consistent
/// view, from its creation to its disposal; moving one that was disposed throws. Never shows a deleted or expired key
/// (expired: at creation's clock).
/// </summary>
public abstract class EngineScan : IDisposable
{
    protected bool IsDisposed { get; private set; }

    public abstract bool Valid { get; }

    public abstract ReadOnlySpan<byte> Key { get; }

    public abstract ReadOnlySpan<byte> Value { get; }

    /// <summary>Unix milliseconds; 0 for never.</summary>
    public abstract long ExpiresAtMs { get; }

    public abstract SequenceNumber Sequence { get; }

    public abstract void SeekToFirst();

    /// <summary>To the first key at or after the place of <paramref name="key"/>.</summary>
    public abstract void Seek(ReadOnlySpan<byte> key);

    public abstract void Next();

    // What it holds is counted: giving it back twice would free it under others.
    public void Dispose()
    {
        if (IsDisposed)
            return;
        IsDisposed = true;
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>A scan in the order of the keys' unsigned bytes, which goes both ways.</summary>
public abstract class EngineIterator : EngineScan
{
    public abstract void SeekToLast();

    /// <summary>To the last key at or before <paramref name="key"/>.</summary>
    public abstract void SeekForPrevious(ReadOnlySpan<byte> key);

    public abstract void Previous();
}
