namespace Kvasir.Wire.Resp;

/// <summary>
/// Finds where replies end in a stream that comes in pieces. Looks at each byte about once, however many pieces a reply
/// comes in: it remembers what was still missing. Pure.
/// </summary>
public struct RespReplyScanner
{
    private long _missing;
    private int _looked;
    private bool _inside;

    /// <summary>
    /// Bytes of the first reply in <paramref name="input"/>, with everything nested in it, or 0 when more bytes are needed. The
    /// input begins where the last reply found has ended; after a 0 it is the same again, longer.
    /// </summary>
    /// <exception cref="RespFormatException">The bytes are no RESP.</exception>
    public int Measure(ReadOnlySpan<byte> input)
    {
        if (!_inside)
            (_inside, _missing, _looked) = (true, 1, 0);
        RespReplyReader reader = new(input[_looked..]);
        while (_missing > 0)
        {
            if (!reader.TryRead())
            {
                _looked += reader.Consumed;
                return 0;
            }

            // An attribute stands in front of what it describes and does not take its place.
            _missing += reader.Count - (reader.Kind == RespReplyKind.Attribute ? 0 : 1);
        }

        int length = _looked + reader.Consumed;
        _inside = false;
        return length;
    }
}
