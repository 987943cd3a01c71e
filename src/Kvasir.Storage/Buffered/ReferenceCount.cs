using Kvasir.Primitives;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// How many hold something that is freed when the last lets go. Thread-safe; a field of its owner, never copied. What has
/// been freed never comes back: <see cref="TryAdd"/> fails on it.
/// </summary>
internal struct ReferenceCount(int initial)
{
    private int _count = initial;

    /// <summary>For a caller that cannot know whether the last holder has let go already.</summary>
    public bool TryAdd()
    {
        int seen = Volatile.Read(ref _count);
        while (seen > 0)
        {
            int found = Interlocked.CompareExchange(ref _count, seen + 1, seen);
            if (found == seen)
                return true;
            seen = found;
        }

        return false;
    }

    /// <summary>For a caller that knows of a holder, or that is the first.</summary>
    public void Add() => Check.That(Interlocked.Increment(ref _count) > 0);

    /// <summary>True for the last holder, who frees.</summary>
    public bool Release()
    {
        int left = Interlocked.Decrement(ref _count);
        Check.That(left >= 0);
        return left == 0;
    }
}
