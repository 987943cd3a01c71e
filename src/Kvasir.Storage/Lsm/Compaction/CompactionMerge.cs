using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Merges sources forward: a binary heap whose entries carry the first eight bytes of their key, so that most
/// comparisons touch no key at all. Owns its sources.
/// </summary>
internal sealed class CompactionMerge : IDisposable
{
    private readonly InternalIterator[] _sources;
    private readonly MergeSource[] _heap;
    private int _count;

    public CompactionMerge(IReadOnlyList<InternalIterator> sources)
    {
        _sources = [.. sources];
        _heap = new MergeSource[_sources.Length];
    }

    public bool Valid => _count > 0;

    /// <summary>The source that stands on the smallest entry.</summary>
    public InternalIterator Current => _heap[0].Source;

    public void SeekToFirst()
    {
        _count = 0;
        foreach (InternalIterator source in _sources)
        {
            source.SeekToFirst();
            if (source.Valid)
                _heap[_count++] = new MergeSource(PrefixOf(source.UserKey), source);
        }

        for (int i = (_count / 2) - 1; i >= 0; i--)
            SiftDown(i);
    }

    public void Next()
    {
        InternalIterator top = _heap[0].Source;
        top.Next();
        if (top.Valid)
        {
            _heap[0].Prefix = PrefixOf(top.UserKey);
        }
        else
        {
            _heap[0] = _heap[--_count];
            _heap[_count] = default;
        }

        if (_count > 1)
            SiftDown(0);
    }

    public void Dispose()
    {
        foreach (InternalIterator source in _sources)
            source.Dispose();
    }

    private void SiftDown(int at)
    {
        MergeSource moving = _heap[at];
        while (true)
        {
            int child = (2 * at) + 1;
            if (child >= _count)
                break;
            if (child + 1 < _count && Before(_heap[child + 1], _heap[child]))
                child++;
            if (!Before(_heap[child], moving))
                break;
            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = moving;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Before(in MergeSource a, in MergeSource b)
    {
        if (a.Prefix != b.Prefix)
            return a.Prefix < b.Prefix;
        return BeforeByKey(a.Source, b.Source);
    }

    private static bool BeforeByKey(InternalIterator a, InternalIterator b)
    {
        int order = a.UserKey.SequenceCompareTo(b.UserKey);
        return order != 0 ? order < 0 : a.Trailer.Packed > b.Trailer.Packed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong PrefixOf(ReadOnlySpan<byte> key)
    {
        if (key.Length >= 8)
            return BinaryPrimitives.ReadUInt64BigEndian(key);
        ulong number = 0;
        for (int i = 0; i < key.Length; i++)
            number |= (ulong)key[i] << (56 - (8 * i));
        return number;
    }

    private struct MergeSource(ulong prefix, InternalIterator source)
    {
        public ulong Prefix = prefix;
        public InternalIterator Source = source;
    }
}
