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
/// (expired: at creation's clock). Of an embedded store it shows what is as durable as its write wanted to be.
/// </summary>
public abstract class EngineScan : IDisposable
{
    protected bool IsDisposed { get; private set; }

    /// <summary>Stands on a key; false before the first seek, and behind the last key. One thread at a time.</summary>
    public abstract bool Valid { get; }

    /// <summary>The key that it stands on; valid until the next move. One thread at a time.</summary>
    public abstract ReadOnlySpan<byte> Key { get; }

    /// <summary>Its value; valid until the next move. One thread at a time.</summary>
    public abstract ReadOnlySpan<byte> Value { get; }

    /// <summary>When the value goes by itself, in Unix milliseconds; 0 for never. One thread at a time.</summary>
    public abstract long ExpiresAtMs { get; }

    /// <summary>Of the write that set the value: later writes have higher ones. One thread at a time.</summary>
    public abstract SequenceNumber Sequence { get; }

    /// <summary>To the first key within the bounds. One thread at a time.</summary>
    public abstract void SeekToFirst();

    /// <summary>To the first key at or after the place of <paramref name="key"/>. One thread at a time.</summary>
    public abstract void Seek(ReadOnlySpan<byte> key);

    /// <summary>To the next key; it must stand on one. One thread at a time.</summary>
    public abstract void Next();

    /// <summary>Lets go of what it sees. A second call does nothing. One thread at a time.</summary>
    public void Dispose()
    {
        // What it holds is counted: giving it back twice would free it under others.
        if (IsDisposed)
            return;
        IsDisposed = true;
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>A scan in the order of the keys' unsigned bytes, which goes both ways. One thread at a time.</summary>
public abstract class EngineIterator : EngineScan
{
    /// <summary>To the last key within the bounds. One thread at a time.</summary>
    public abstract void SeekToLast();

    /// <summary>To the last key at or before <paramref name="key"/>. One thread at a time.</summary>
    public abstract void SeekForPrevious(ReadOnlySpan<byte> key);

    /// <summary>To the key before; it must stand on one. One thread at a time.</summary>
    public abstract void Previous();
}
