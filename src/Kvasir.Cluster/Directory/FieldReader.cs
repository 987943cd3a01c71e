using System.Text;
using System.Text.Unicode;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Reads what <see cref="FieldWriter"/> wrote, and nothing else: a number has one spelling, so that equal records have equal
/// bytes. After the first field that makes no sense all others are empty, and <see cref="IsWhole"/> stays false.
/// </summary>
internal ref struct FieldReader(ReadOnlySpan<byte> source)
{
    private ReadOnlySpan<byte> _rest = source;
    private bool _failed;

    public readonly int Remaining => _rest.Length;

    /// <summary>All fields made sense, and nothing follows them.</summary>
    public readonly bool IsWhole => !_failed && _rest.IsEmpty;

    public ulong Number(ulong max = ulong.MaxValue)
    {
        if (_failed || !Varint.TryRead(_rest, out ulong value, out int length) || length != Varint.Length(value) || value > max)
        {
            _failed = true;
            return 0;
        }

        _rest = _rest[length..];
        return value;
    }

    /// <summary>A number that is not above <paramref name="max"/> nor below <paramref name="min"/>.</summary>
    public ulong Number(ulong min, ulong max)
    {
        ulong value = Number(max);
        if (value >= min)
            return value;
        _failed = true;
        return min;
    }

    public string Text(int lengthMax)
    {
        int length = (int)Number((ulong)lengthMax);
        if (_failed || length > _rest.Length || !Utf8.IsValid(_rest[..length]))
        {
            _failed = true;
            return "";
        }

        string text = Encoding.UTF8.GetString(_rest[..length]);
        _rest = _rest[length..];
        return text;
    }

    public void Fail() => _failed = true;
}
