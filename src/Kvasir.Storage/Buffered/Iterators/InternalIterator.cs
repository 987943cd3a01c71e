using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.Iterators;

/// <summary>
/// Walks all versions of all keys of one source (a memtable, a table, a level, a merge of those), ordered by user key
/// ascending, then by trailer descending. Shows tombstones; knows nothing of snapshots or range tombstones. Spans are
/// valid until the next move. One thread at a time.
/// </summary>
public abstract class InternalIterator : IDisposable
{
    public abstract bool Valid { get; }

    public abstract ReadOnlySpan<byte> UserKey { get; }

    public abstract Trailer Trailer { get; }

    public abstract ReadOnlySpan<byte> Value { get; }

    /// <summary>Unix milliseconds; 0 unless the kind is <see cref="ValueKind.ExpiringValue"/>.</summary>
    public abstract long ExpiresAtMs { get; }

    public abstract void SeekToFirst();

    public abstract void SeekToLast();

    /// <summary>To the first version at or after (<paramref name="userKey"/>, <paramref name="trailer"/>) in this order.</summary>
    public abstract void Seek(ReadOnlySpan<byte> userKey, Trailer trailer);

    /// <summary>To the last version at or before (<paramref name="userKey"/>, <paramref name="trailer"/>) in this order.</summary>
    public abstract void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer);

    public abstract void Next();

    public abstract void Previous();

    /// <summary>
    /// A hint: of the keys in [<paramref name="start"/>, <paramref name="end"/>), an empty end meaning no bound, nothing
    /// below <paramref name="sequence"/> is of interest. A source that knows that it has nothing else there may leave
    /// the range, in the direction of travel; one that does not know stays. The source may be invalid, or outside.
    /// </summary>
    public virtual void SkipCovered(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, ulong sequence, bool forward) { }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) { }
}
