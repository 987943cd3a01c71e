using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>Walks tables that follow each other without overlap, one open at a time. The caller keeps the tables alive.</summary>
internal sealed class LevelIterator : InternalIterator
{
    private readonly TableFile[] _tables;
    private readonly bool _bypassCache;
    private readonly bool _fullReadAhead;
    private readonly ISortedView? _keep;
    private SSTableIterator? _current;
    private int _index = -1;

    /// <param name="keep">A set that names the tables; released on disposal.</param>
    public LevelIterator(TableFile[] tables, bool bypassCache, bool fullReadAhead, ISortedView? keep)
    {
        _tables = tables;
        _bypassCache = bypassCache;
        _fullReadAhead = fullReadAhead;
        _keep = keep;
        keep?.AddReference();
    }

    public override bool Valid => _current is not null && _current.Valid;

    public override ReadOnlySpan<byte> UserKey => _current!.UserKey;

    public override Trailer Trailer => _current!.Trailer;

    public override ReadOnlySpan<byte> Value => _current!.Value;

    public override long ExpiresAtMs => _current!.ExpiresAtMs;

    public override void SeekToFirst()
    {
        Move(0);
        _current?.SeekToFirst();
        SkipForward();
    }

    public override void SeekToLast()
    {
        Move(_tables.Length - 1);
        _current?.SeekToLast();
        SkipBackward();
    }

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        Move(TableSet.FindTable(_tables, userKey));
        _current?.Seek(userKey, trailer);
        SkipForward();
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        int at = TableSet.FindTable(_tables, userKey);
        Move(Math.Min(at, _tables.Length - 1));
        _current?.SeekForPrevious(userKey, trailer);
        SkipBackward();
    }

    public override void Next()
    {
        _current!.Next();
        if (!_current.Valid)
            SkipForward();
    }

    public override void Previous()
    {
        _current!.Previous();
        if (!_current.Valid)
            SkipBackward();
    }

    public override void SkipCovered(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, ulong sequence, bool forward)
    {
        if (!Valid)
            return;
        int index = _index;
        if (forward)
        {
            while (index < _tables.Length && IsBelow(index, sequence) && (end.IsEmpty || _tables[index].Bounds.EndsBefore(end)))
                index++;
            if (index != _index)
            {
                Move(index);
                _current?.SeekToFirst();
                SkipForward();
            }

            if (Valid && IsBelow(_index, sequence) && !end.IsEmpty && UserKey.SequenceCompareTo(end) < 0)
            {
                _current!.Seek(end, new Trailer(ulong.MaxValue));
                SkipForward();
            }

            return;
        }

        while (index >= 0 && IsBelow(index, sequence) && start.SequenceCompareTo(_tables[index].Bounds.Start) <= 0)
            index--;
        if (index != _index)
        {
            Move(index);
            _current?.SeekToLast();
            SkipBackward();
        }

        if (Valid && IsBelow(_index, sequence) && UserKey.SequenceCompareTo(start) >= 0)
        {
            _current!.SeekForPrevious(start, new Trailer(ulong.MaxValue));
            SkipBackward();
        }
    }

    protected override void Dispose(bool disposing)
    {
        _current?.Dispose();
        _current = null;
        _keep?.Release();
    }

    private bool IsBelow(int index, ulong sequence) => _tables[index].Properties.LargestSequence < sequence;

    /// <summary>A table may hold nothing but range tombstones.</summary>
    private void SkipForward()
    {
        while (_current is not null && !_current.Valid)
        {
            Move(_index + 1);
            _current?.SeekToFirst();
        }
    }

    private void SkipBackward()
    {
        while (_current is not null && !_current.Valid)
        {
            Move(_index - 1);
            _current?.SeekToLast();
        }
    }

    private void Move(int index)
    {
        if (index == _index && _current is not null)
            return;
        _current?.Dispose();
        _current = null;
        _index = index;
        if ((uint)index >= (uint)_tables.Length)
            return;
        SSTableReader reader = _tables[index].AcquireReader();
        _current = reader.CreateIterator(_bypassCache, _fullReadAhead);
        reader.Release();
    }
}
