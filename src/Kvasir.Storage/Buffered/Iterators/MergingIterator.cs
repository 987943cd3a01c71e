using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.Iterators;

/// <summary>
/// Shows several sources as one. A binary heap of the sources, smallest first going forwards, largest first going
/// backwards; a turn seeks every other source to the far side of the current entry.
/// </summary>
internal sealed class MergingIterator : InternalIterator
{
    private readonly InternalIterator[] _sources;
    private readonly InternalIterator[] _heap;
    private readonly BytesBuffer _turnKey = new(64);
    private int _count;
    private bool _forward = true;

    /// <summary>Owns the sources from here on.</summary>
    public MergingIterator(IReadOnlyList<InternalIterator> sources)
    {
        _sources = [.. sources];
        _heap = new InternalIterator[_sources.Length];
    }

    /// <summary>One iterator over all sources, which may be none.</summary>
    public static InternalIterator Over(IReadOnlyList<InternalIterator> sources) =>
        sources.Count == 1 ? sources[0] : new MergingIterator(sources);

    public override bool Valid => _count != 0;

    public override ReadOnlySpan<byte> UserKey => _heap[0].UserKey;

    public override Trailer Trailer => _heap[0].Trailer;

    public override ReadOnlySpan<byte> Value => _heap[0].Value;

    public override long ExpiresAtMs => _heap[0].ExpiresAtMs;

    public override void SeekToFirst()
    {
        foreach (InternalIterator source in _sources)
            source.SeekToFirst();
        BuildHeap(forward: true);
    }

    public override void SeekToLast()
    {
        foreach (InternalIterator source in _sources)
            source.SeekToLast();
        BuildHeap(forward: false);
    }

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        foreach (InternalIterator source in _sources)
            source.Seek(userKey, trailer);
        BuildHeap(forward: true);
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        foreach (InternalIterator source in _sources)
            source.SeekForPrevious(userKey, trailer);
        BuildHeap(forward: false);
    }

    public override void Next()
    {
        Check.That(_count != 0);
        if (!_forward)
        {
            Turn(forward: true);
            return;
        }

        _heap[0].Next();
        FixTop();
    }

    public override void Previous()
    {
        Check.That(_count != 0);
        if (_forward)
        {
            Turn(forward: false);
            return;
        }

        _heap[0].Previous();
        FixTop();
    }

    public override void SkipCovered(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, ulong sequence, bool forward)
    {
        Check.That(forward == _forward);
        foreach (InternalIterator source in _sources)
            source.SkipCovered(start, end, sequence, forward);
        BuildHeap(forward);
    }

    protected override void Dispose(bool disposing)
    {
        foreach (InternalIterator source in _sources)
            source.Dispose();
        _count = 0;
    }

    private void Turn(bool forward)
    {
        InternalIterator current = _heap[0];
        Trailer trailer = current.Trailer;
        _turnKey.Clear();
        _turnKey.Append(current.UserKey);
        foreach (InternalIterator source in _sources)
        {
            if (forward)
                source.Seek(_turnKey.WrittenSpan, trailer);
            else
                source.SeekForPrevious(_turnKey.WrittenSpan, trailer);
            // The source we stand on is at the very entry now; so is, after an ingest, any that holds an equal one.
            if (source.Valid && source.Trailer == trailer && source.UserKey.SequenceEqual(_turnKey.WrittenSpan))
            {
                if (forward)
                    source.Next();
                else
                    source.Previous();
            }
        }

        BuildHeap(forward);
    }

    private void BuildHeap(bool forward)
    {
        _forward = forward;
        _count = 0;
        foreach (InternalIterator source in _sources)
        {
            if (source.Valid)
                _heap[_count++] = source;
        }

        for (int i = (_count / 2) - 1; i >= 0; i--)
            SiftDown(i);
    }

    private void FixTop()
    {
        if (!_heap[0].Valid)
        {
            if (--_count == 0)
                return;
            _heap[0] = _heap[_count];
        }

        SiftDown(0);
    }

    private void SiftDown(int index)
    {
        InternalIterator[] heap = _heap;
        InternalIterator moving = heap[index];
        for (int child = (2 * index) + 1; child < _count; child = (2 * index) + 1)
        {
            if (child + 1 < _count && Before(heap[child + 1], heap[child]))
                child++;
            if (!Before(heap[child], moving))
                break;
            heap[index] = heap[child];
            index = child;
        }

        heap[index] = moving;
    }

    private bool Before(InternalIterator x, InternalIterator y)
    {
        int order = x.UserKey.SequenceCompareTo(y.UserKey);
        if (order == 0)
            order = y.Trailer.Packed.CompareTo(x.Trailer.Packed);
        return _forward ? order < 0 : order > 0;
    }
}
