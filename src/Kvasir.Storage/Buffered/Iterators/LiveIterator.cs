using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.Iterators;

/// <summary>
/// What a user sees of all versions: of each key the newest one in the view, unless that is a tombstone, covered by a
/// range tombstone, or expired.
/// <para>
/// Going forwards the source stands on the current entry. Going backwards it stands before every version of the current
/// key, whose value was copied on the way, because versions then come oldest first.
/// </para>
/// </summary>
internal sealed class LiveIterator : EngineIterator
{
    // Versions of one key that are stepped over before a seek is thought cheaper.
    private const int StepsBeforeSeek = 8;

    // Covered keys that are stepped over between two offers to the sources to leave the covered range.
    private const int StepsBetweenSkips = 64;

    private readonly InternalIterator _source;
    private readonly RangeTombstoneFragments? _tombstones;
    private readonly IDisposable _resources;
    private readonly ulong _sequence;
    private readonly byte[] _lower;
    private readonly byte[] _upper;
    private readonly BytesBuffer _key = new(64);
    private readonly BytesBuffer _value = new(16);
    private readonly long _nowMs;
    private readonly bool _includeExpired;
    private long _expiresAtMs;
    private ulong _entrySequence;
    private int _fragment = -1;
    private int _coveredSteps;
    private bool _covered;
    private bool _valid;
    private bool _forward = true;

    /// <summary>Owns the source, and the resources, which it disposes after it.</summary>
    public LiveIterator(
        InternalIterator source,
        IReadOnlyList<RangeTombstone> tombstones,
        ulong sequence,
        in IteratorOptions options,
        long nowMs,
        IDisposable resources)
    {
        _source = source;
        _tombstones = tombstones.Count == 0 ? null : new RangeTombstoneFragments(tombstones);
        _sequence = sequence;
        _lower = options.LowerBound.ToArray();
        _upper = options.UpperBound.ToArray();
        _nowMs = nowMs;
        _includeExpired = options.IncludeExpired;
        _resources = resources;
    }

    public override bool Valid => _valid;

    public override ReadOnlySpan<byte> Key => _key.WrittenSpan;

    // Where it stands on nothing the source may have let go of the block.
    public override ReadOnlySpan<byte> Value => !_forward ? _value.WrittenSpan : _valid ? _source.Value : default;

    public override long ExpiresAtMs => _expiresAtMs;

    public override SequenceNumber Sequence => new(_entrySequence);

    public override void SeekToFirst() => Seek(_lower);

    public override void SeekToLast()
    {
        BeginMove();
        if (_upper.Length == 0)
            _source.SeekToLast();
        else
            _source.SeekForPrevious(_upper, new Trailer(ulong.MaxValue));
        FindBackward();
    }

    public override void Seek(ReadOnlySpan<byte> key)
    {
        BeginMove();
        if (key.SequenceCompareTo(_lower) < 0)
            key = _lower;
        _source.Seek(key, Trailer.Seek(_sequence));
        FindForward();
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> key)
    {
        BeginMove();
        if (_upper.Length != 0 && key.SequenceCompareTo(_upper) >= 0)
        {
            SeekToLast();
            return;
        }

        _source.SeekForPrevious(key, default);
        FindBackward();
    }

    public override void Next()
    {
        if (!_valid)
            return;
        BeginMove();

        // Going backwards the source may have left covered ranges, so it is not one step away: past the current key.
        if (!_forward)
            _source.Seek(_key.WrittenSpan, default);
        SkipKey();
        FindForward();
    }

    public override void Previous()
    {
        if (!_valid)
            return;
        BeginMove();
        if (_forward)
            _source.SeekForPrevious(_key.WrittenSpan, new Trailer(ulong.MaxValue));
        FindBackward();
    }

    protected override void Dispose(bool disposing)
    {
        _valid = false;
        _source.Dispose();
        _resources.Dispose();
    }

    // A source that throws on the way, at a damaged block, stands on nothing: what it showed before may be gone.
    private void BeginMove()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        _valid = false;
    }

    private void FindForward()
    {
        _forward = true;
        while (_source.Valid)
        {
            ReadOnlySpan<byte> key = _source.UserKey;
            if (_upper.Length != 0 && key.SequenceCompareTo(_upper) >= 0)
                break;
            Trailer trailer = _source.Trailer;
            if (trailer.Sequence > _sequence)
            {
                _source.Next();
                continue;
            }

            _key.Clear();
            _key.Append(key);
            if (IsLive(trailer))
            {
                _valid = true;
                return;
            }

            SkipCovered();
            SkipKey();
        }

        _valid = false;
    }

    private void FindBackward()
    {
        _forward = false;
        _valid = false;
        while (!_valid && _source.Valid)
        {
            if (_source.UserKey.SequenceCompareTo(_lower) < 0)
                return;
            _key.Clear();
            _key.Append(_source.UserKey);
            do
            {
                Trailer trailer = _source.Trailer;
                if (trailer.Sequence <= _sequence)
                {
                    // Each newer version overrules the one before.
                    _valid = IsLive(trailer);
                    _value.Clear();
                    if (_valid)
                        _value.Append(_source.Value);
                }

                _source.Previous();
            }
            while (_source.Valid && _source.UserKey.SequenceEqual(_key.WrittenSpan));
            if (!_valid)
                SkipCovered();
        }
    }

    /// <summary>After a key that is not shown: where a range tombstone is the reason, it may be so for many.</summary>
    private void SkipCovered()
    {
        if (!_covered || _coveredSteps++ % StepsBetweenSkips != 0)
            return;
        RangeTombstoneFragments tombstones = _tombstones!;
        ulong sequence = tombstones.Sequences(_fragment)[^1];
        _source.SkipCovered(tombstones.Start(_fragment), tombstones.End(_fragment), sequence, _forward);
    }

    /// <summary>Moves the source past every version of the current key that it still has before it.</summary>
    private void SkipKey()
    {
        for (int steps = 0; _source.Valid && _source.UserKey.SequenceEqual(_key.WrittenSpan); steps++)
        {
            if (steps == StepsBeforeSeek)
                _source.Seek(_key.WrittenSpan, default);
            else
                _source.Next();
        }
    }

    /// <summary>Judges the version that the source stands on, whose key is the current one.</summary>
    private bool IsLive(Trailer trailer)
    {
        _entrySequence = trailer.Sequence;
        _expiresAtMs = 0;
        _covered = false;
        if (trailer.Kind == ValueKind.Tombstone)
            return false;
        if (trailer.Kind == ValueKind.ExpiringValue)
        {
            _expiresAtMs = _source.ExpiresAtMs;
            if (_expiresAtMs <= _nowMs && !_includeExpired)
                return false;
        }

        _covered = _tombstones is not null && IsCovered(_tombstones, trailer.Sequence);
        return !_covered;
    }

    private bool IsCovered(RangeTombstoneFragments tombstones, ulong sequence)
    {
        if (!tombstones.Holds(_fragment, _key.WrittenSpan))
            _fragment = tombstones.Find(_key.WrittenSpan);
        ReadOnlySpan<ulong> over = tombstones.Sequences(_fragment);
        return over.Length != 0 && over[^1] > sequence;
    }
}
