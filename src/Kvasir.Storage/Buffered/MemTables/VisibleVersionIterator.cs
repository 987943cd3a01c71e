using System.Runtime.Intrinsics.X86;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Walks the keys of one run, each with the newest version up to a sequence number: what a view can see, so that
/// versions written since or overwritten before cost nothing.
/// </summary>
internal sealed unsafe class VisibleVersionIterator : InternalIterator
{
    // A run's nodes lie anywhere in the arena: one is asked for well before it is read, its newest version a bit later.
    private const int NodePrefetch = 8;
    private const int VersionPrefetch = 4;

    private readonly OrderRun _run;
    private readonly ulong _sequence;
    private readonly ulong _largestSequence;
    private readonly int _count;
    private readonly KeyNode** _nodes;
    private KeyNode* _node;
    private ValueVersion* _version;
    private int _index;

    /// <summary>
    /// Takes over one reference to the run, which holds nothing above <paramref name="largestSequence"/> that is seen.
    /// </summary>
    public VisibleVersionIterator(OrderRun run, ulong sequence, ulong largestSequence)
    {
        _run = run;
        _sequence = sequence;
        _largestSequence = largestSequence;
        _count = run.Count;
        _nodes = run.Nodes;
    }

    public override bool Valid => _version != null;

    public override ReadOnlySpan<byte> UserKey => KeyNode.Key(_node);

    public override Trailer Trailer => new(_version->Trailer);

    public override ReadOnlySpan<byte> Value => ValueVersion.Value(_version);

    public override long ExpiresAtMs => ValueVersion.ExpiresAtMs(_version);

    public override void SeekToFirst() => ShowForward(0);

    public override void SeekToLast() => ShowBackward(_count - 1);

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        ShowForward(_run.LowerBound(userKey));
        if (Valid && _version->Trailer > trailer.Packed && UserKey.SequenceEqual(userKey))
            Next();
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        int index = _run.LowerBound(userKey);
        if (index < _count && _run.KeyAt(index).SequenceEqual(userKey))
        {
            ValueVersion* version = KeyNode.Visible(_nodes[index], _sequence);
            if (version != null && version->Trailer >= trailer.Packed)
            {
                ShowBackward(index);
                return;
            }
        }

        ShowBackward(index - 1);
    }

    public override void Next() => ShowForward(_index + 1);

    public override void Previous() => ShowBackward(_index - 1);

    public override void SkipCovered(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, ulong sequence, bool forward)
    {
        if (!Valid || _largestSequence >= sequence)
            return;
        if (forward && (end.IsEmpty || UserKey.SequenceCompareTo(end) < 0))
            ShowForward(end.IsEmpty ? _count : _run.LowerBound(end));
        else if (!forward && UserKey.SequenceCompareTo(start) >= 0)
            ShowBackward(_run.LowerBound(start) - 1);
    }

    protected override void Dispose(bool disposing)
    {
        _version = null;
        _run.Release();
    }

    private void ShowForward(int index)
    {
        for (; index < _count; index++)
        {
            if (Sse.IsSupported && index + NodePrefetch < _count)
            {
                byte* ahead = (byte*)_nodes[index + NodePrefetch];
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + 64);
                Sse.Prefetch0(_nodes[index + VersionPrefetch]->Newest);
            }

            if (TryShow(index))
                return;
        }

        _version = null;
    }

    private void ShowBackward(int index)
    {
        for (; index >= 0; index--)
        {
            if (Sse.IsSupported && index >= NodePrefetch)
            {
                byte* ahead = (byte*)_nodes[index - NodePrefetch];
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + 64);
                Sse.Prefetch0(_nodes[index - VersionPrefetch]->Newest);
            }

            if (TryShow(index))
                return;
        }

        _version = null;
    }

    private bool TryShow(int index)
    {
        KeyNode* node = _nodes[index];
        ValueVersion* version = KeyNode.Visible(node, _sequence);
        if (version == null)
            return false;
        _index = index;
        _node = node;
        _version = version;
        return true;
    }
}
