using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog.Merge;

/// <summary>A segment that a merge reads, at one of its records.</summary>
internal sealed class MergeInput(SegmentFile segment, int partBytes, DeadMarks? dead)
{
    // So far are tokens asked for, and half as far the records that they lead to.
    private const int Ahead = 8;

    private readonly SegmentScanner _scanner = segment.Scan(partBytes);
    private Tokens _tokens;

    // Records that were not dead.
    private int _peeked;
    private int _moved;

    /// <summary>The record was dead when the merge began; nothing more is known of it.</summary>
    public bool IsDead { get; private set; }

    /// <summary>Of the record's key.</summary>
    public ulong Token { get; private set; }

    /// <summary>Of the record.</summary>
    public ulong Location => Index.Location.OnDisk(
        segment.Slot, (uint)(_scanner.Offset / SegmentFormat.UnitBytes), (uint)(_scanner.Size / SegmentFormat.UnitBytes));

    public int RecordBytes => _scanner.Size;

    /// <summary>Good until the next move.</summary>
    public SegmentRecord Record => _scanner.Current;

    public bool MoveNext()
    {
        if (!_scanner.MoveNext(out SegmentRecord record))
            return false;
        IsDead = dead is not null && dead.Has(_scanner.Offset);
        if (IsDead)
            return true;
        Token = StableHash.Hash64(record.Key);
        _moved++;
        return true;
    }

    /// <summary>
    /// Asks memory for what a look at the next records will want, which would wait for each of them otherwise. Inside the epoch.
    /// </summary>
    public void Prefetch(KeyIndex index)
    {
        // What was not in memory yet when it was asked for is asked for from where it is now.
        if (_peeked < _moved)
            _peeked = _moved;
        while (_peeked < _moved + Ahead && _scanner.TryPeek(out ReadOnlySpan<byte> key, out long offset))
        {
            if (dead is not null && dead.Has(offset))
                continue;
            ulong token = StableHash.Hash64(key);
            _tokens[_peeked % Ahead] = token;
            index.Prefetch(token);
            int near = _peeked++ - (Ahead / 2);
            if (near >= _moved)
                index.PrefetchRecord(_tokens[near % Ahead]);
        }
    }

    [InlineArray(Ahead)]
    private struct Tokens
    {
        private ulong _first;
    }
}
