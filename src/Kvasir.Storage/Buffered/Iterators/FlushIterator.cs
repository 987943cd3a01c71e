using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.Iterators;

/// <summary>
/// What a flush writes of memtables: of each key the newest version, and of the older ones those that a snapshot still
/// sees. Versions that a range tombstone of the same memtables hides from everybody are left out, since the tombstone
/// goes into the same tables; a point tombstone stays, since it may hide something below. What expired by the horizon becomes a
/// tombstone: its bytes are gone, what it hides stays hidden. Forwards only.
/// </summary>
internal sealed class FlushIterator : InternalIterator
{
    private readonly InternalIterator _source;
    private readonly RangeTombstoneFragments _tombstones;
    private readonly ulong[] _snapshots;
    private readonly long _expiryHorizonMs;
    private readonly BytesBuffer _key = new(64);
    private bool _hasKey;
    private ulong _newerSequence;
    private int _fragment = -1;

    /// <summary>Owns <paramref name="source"/>. <paramref name="snapshots"/> ascend.</summary>
    public FlushIterator(
        InternalIterator source, IReadOnlyList<RangeTombstone> tombstones, ulong[] snapshots, long expiryHorizonMs)
    {
        _source = source;
        _tombstones = new RangeTombstoneFragments(tombstones);
        _snapshots = snapshots;
        _expiryHorizonMs = expiryHorizonMs;
    }

    public override bool Valid => _source.Valid;

    public override ReadOnlySpan<byte> UserKey => _source.UserKey;

    public override Trailer Trailer =>
        Expired ? new Trailer(_source.Trailer.Sequence, ValueKind.Tombstone) : _source.Trailer;

    public override ReadOnlySpan<byte> Value => Expired ? default : _source.Value;

    public override long ExpiresAtMs => Expired ? 0 : _source.ExpiresAtMs;

    private bool Expired => _source.Trailer.Kind == ValueKind.ExpiringValue && _source.ExpiresAtMs <= _expiryHorizonMs;

    public override void SeekToFirst()
    {
        _hasKey = false;
        _source.SeekToFirst();
        SkipUnneeded();
    }

    public override void Next()
    {
        _source.Next();
        SkipUnneeded();
    }

    public override void SeekToLast() => throw ForwardOnly();

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer) => throw ForwardOnly();

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer) => throw ForwardOnly();

    public override void Previous() => throw ForwardOnly();

    protected override void Dispose(bool disposing) => _source.Dispose();

    private void SkipUnneeded()
    {
        for (; _source.Valid; _source.Next())
        {
            ulong sequence = _source.Trailer.Sequence;
            bool newest = !_hasKey || !_source.UserKey.SequenceEqual(_key.WrittenSpan);
            if (newest)
            {
                _key.Clear();
                _key.Append(_source.UserKey);
                _hasKey = true;
            }

            ulong newer = newest ? ulong.MaxValue : _newerSequence;
            _newerSequence = sequence;
            ulong cover = CoveredBy(sequence);
            if (cover == 0 && newest)
                return;
            if (SeenBetween(sequence, cover == 0 ? newer : Math.Min(newer, cover)))
                return;
        }
    }

    /// <summary>Whether a snapshot sees a version that is replaced at <paramref name="replaced"/>.</summary>
    private bool SeenBetween(ulong sequence, ulong replaced)
    {
        int index = Array.BinarySearch(_snapshots, sequence);
        if (index < 0)
            index = ~index;
        return index < _snapshots.Length && _snapshots[index] < replaced;
    }

    /// <summary>The oldest range tombstone that is newer than the version and covers its key; zero for none.</summary>
    private ulong CoveredBy(ulong sequence)
    {
        if (_tombstones.IsEmpty)
            return 0;
        if (!_tombstones.Holds(_fragment, _key.WrittenSpan))
            _fragment = _tombstones.Find(_key.WrittenSpan);
        foreach (ulong tombstone in _tombstones.Sequences(_fragment))
        {
            if (tombstone > sequence)
                return tombstone;
        }

        return 0;
    }

    private static InvariantViolationException ForwardOnly() => new("a flush reads forwards");
}
