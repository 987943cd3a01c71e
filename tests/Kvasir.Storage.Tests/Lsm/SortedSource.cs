using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Tests.Lsm;

internal sealed record Version(byte[] Key, Trailer Trailer, byte[] Value, long ExpiresAtMs = 0) : IComparable<Version>
{
    public int CompareTo(Version? other)
    {
        int order = Key.AsSpan().SequenceCompareTo(other!.Key);
        return order != 0 ? order : other.Trailer.Packed.CompareTo(Trailer.Packed);
    }

    public override string ToString() =>
        $"{Convert.ToHexString(Key)}@{Trailer.Sequence}{Trailer.Kind}={Convert.ToHexString(Value)[..Math.Min(8, Value.Length * 2)]}!{ExpiresAtMs}";
}

/// <summary>A sorted list as an iterator: the model that tables are compared with, and the source of flushes.</summary>
internal sealed class SortedSource : InternalIterator
{
    private readonly List<Version> _versions;
    private int _at = -1;

    public SortedSource(IEnumerable<Version> versions)
    {
        _versions = [.. versions];
        _versions.Sort();
    }

    public override bool Valid => _at >= 0 && _at < _versions.Count;

    public override ReadOnlySpan<byte> UserKey => _versions[_at].Key;

    public override Trailer Trailer => _versions[_at].Trailer;

    public override ReadOnlySpan<byte> Value => _versions[_at].Value;

    public override long ExpiresAtMs => _versions[_at].ExpiresAtMs;

    public override void SeekToFirst() => _at = 0;

    public override void SeekToLast() => _at = _versions.Count - 1;

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        var target = new Version(userKey.ToArray(), trailer, []);
        _at = _versions.FindIndex(v => v.CompareTo(target) >= 0);
        if (_at < 0)
            _at = _versions.Count;
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        var target = new Version(userKey.ToArray(), trailer, []);
        _at = _versions.FindLastIndex(v => v.CompareTo(target) <= 0);
    }

    public override void Next() => _at++;

    public override void Previous() => _at--;
}
