using Kvasir.Primitives;

namespace Kvasir.Server.Peers;

/// <summary>What was received of one connection and not looked at yet. Grows with what really comes, not with what is announced.</summary>
internal sealed class ReceiveBuffer
{
    /// <summary>Of a connection that has not shown yet who is at its other end.</summary>
    private const int FirstBytes = 4 << 10;

    private const int UsualBytes = 128 << 10;

    /// <summary>Frames up to here are nothing special: room for them is made at once, and kept.</summary>
    private const int KeptBytes = 4 << 20;

    private byte[] _bytes = new byte[FirstBytes];
    private int _start;
    private int _end;
    private bool _isTrusted;

    public ReadOnlySpan<byte> Received => _bytes.AsSpan(_start, _end - _start);

    /// <summary>The other side belongs to us: it may have more room.</summary>
    public void Trust() => _isTrusted = true;

    /// <summary>Somewhere to receive into; never empty.</summary>
    /// <param name="wanted">Bytes that the beginning of what was received should reach, all in all.</param>
    public Span<byte> Room(int wanted)
    {
        int length = _end - _start;
        int least = _isTrusted ? Math.Max(UsualBytes, Math.Min(wanted, KeptBytes)) : FirstBytes;
        if (_bytes.Length < least || (_bytes.Length > KeptBytes && wanted <= KeptBytes && length <= least / 2))
        {
            Move(new byte[least]);
        }
        else if (length == 0)
        {
            _start = _end = 0;
        }
        else if (_start > 0 && (_end == _bytes.Length || _start + (long)wanted > _bytes.Length))
        {
            Move(_bytes);
        }

        // Doubling, but not beyond a frame whose length is known: it comes whole, and then the array goes.
        if (_end == _bytes.Length)
            Move(GC.AllocateUninitializedArray<byte>((int)Math.Min(2L * _bytes.Length, Math.Max(wanted, _bytes.Length + (long)FirstBytes))));
        return _bytes.AsSpan(_end);
    }

    public void Filled(int count)
    {
        Check.That(count <= _bytes.Length - _end);
        _end += count;
    }

    public void Consume(int count)
    {
        Check.That(count <= _end - _start);
        _start += count;
    }

    private void Move(byte[] target)
    {
        Received.CopyTo(target);
        (_start, _end) = (0, _end - _start);
        _bytes = target;
    }
}
