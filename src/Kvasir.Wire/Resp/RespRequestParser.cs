using System.Runtime.CompilerServices;
using Kvasir.Primitives;

namespace Kvasir.Wire.Resp;

public enum RespParseStatus
{
    /// <summary>The bytes end inside the request.</summary>
    Incomplete,

    /// <summary>A request with <see cref="RespRequestParser.ArgumentCount"/> arguments, perhaps none.</summary>
    Complete,

    /// <summary><see cref="RespRequestParser.Error"/> says why; the stream cannot be read further.</summary>
    Error,
}

/// <summary>
/// Reads requests as Redis 7.0 reads them: arrays of bulk strings, and inline commands with its quoting. Bytes in,
/// argument ranges out. It remembers how far it came in an unfinished request, so that a large value arriving in small
/// pieces is not scanned again. Not thread-safe; one a connection.
/// </summary>
public sealed class RespRequestParser
{
    private const int ArgumentsKept = 1024;
    private const int UnauthenticatedSaysMax = 512 << 20;

    private readonly RespRequestLimits _limits;
    private ArgumentRange[] _arguments = new ArgumentRange[8];
    private byte[]? _inline;

    // Progress in the request under way, all from its first byte.
    private int _at;
    private int _scanned;
    private int _argumentsExpected;
    private int _bulkLength = -1;

    public RespRequestParser(RespRequestLimits limits) => _limits = limits;

    /// <summary>Until a client has authenticated it gets small requests only.</summary>
    public bool Authenticated { get; set; } = true;

    public int ArgumentCount { get; private set; }

    /// <summary>The first <see cref="ArgumentCount"/> hold; valid until the next call.</summary>
    public ArgumentRange[] Arguments => _arguments;

    /// <summary>The longest argument's bytes.</summary>
    public int LongestArgument { get; private set; }

    /// <summary>Bytes of the complete request.</summary>
    public int Consumed { get; private set; }

    /// <summary>Where the ranges of an inline request lie, unquoted; null: in the bytes that were given.</summary>
    public byte[]? InlineBytes { get; private set; }

    /// <summary>Bytes from the start of the unfinished request that will certainly be needed: room to make at once.</summary>
    public int BytesWanted => _bulkLength >= 0 ? _at + _bulkLength + 2 : _at;

    public string? Error { get; private set; }

    /// <summary>A request has come in part.</summary>
    public bool IsInside => _at != 0;

    /// <summary>What its own arrays take.</summary>
    public long MemoryBytes => ((long)_arguments.Length * Unsafe.SizeOf<ArgumentRange>()) + (_inline?.Length ?? 0);

    /// <summary>
    /// Goes on with the request that begins at the first of <paramref name="bytes"/>. After
    /// <see cref="RespParseStatus.Incomplete"/> call again with the same bytes and more.
    /// </summary>
    public RespParseStatus Parse(ReadOnlySpan<byte> bytes)
    {
        if (_at == 0)
        {
            if (bytes.IsEmpty)
                return RespParseStatus.Incomplete;
            if (_argumentsExpected == 0)
            {
                ArgumentCount = 0;
                LongestArgument = 0;
                InlineBytes = null;
            }

            if (bytes[0] != (byte)'*')
                return ParseInline(bytes);
            RespParseStatus status = ParseCount(bytes);
            if (status != RespParseStatus.Incomplete || _at == 0)
                return status;
        }

        return ParseArguments(bytes);
    }

    /// <summary>Forgets a request half read, and gives back memory that only a large one needed.</summary>
    public void Trim()
    {
        if (_at != 0)
            return;
        if (_arguments.Length > 8)
            _arguments = new ArgumentRange[8];
        _inline = null;
    }

    private RespParseStatus ParseCount(ReadOnlySpan<byte> bytes)
    {
        int end = FindLineEnd(bytes, 0);
        if (end < 0)
        {
            return bytes.Length > _limits.LineBytesMax
                ? Fail("Protocol error: too big mbulk count string")
                : RespParseStatus.Incomplete;
        }

        if (!TryNumber(bytes[1..end], out long count) || count > _limits.ArgumentsMax)
            return Fail("Protocol error: invalid multibulk length");
        if (count > 10 && !Authenticated)
            return Fail("Protocol error: unauthenticated multibulk length");
        if (count <= 0)
            return Complete(end + 2);
        if (_arguments.Length > ArgumentsKept && count <= ArgumentsKept)
            _arguments = new ArgumentRange[8];
        _argumentsExpected = (int)count;
        _at = end + 2;
        _scanned = _at;
        return RespParseStatus.Incomplete;
    }

    private RespParseStatus ParseArguments(ReadOnlySpan<byte> bytes)
    {
        while (ArgumentCount < _argumentsExpected)
        {
            if (_bulkLength < 0)
            {
                RespParseStatus? status = ParseBulkHeader(bytes);
                if (status is not null)
                    return status.Value;
            }

            // What ends the value is skipped unread, as Redis does.
            if (bytes.Length - _at < _bulkLength + 2)
                return RespParseStatus.Incomplete;
            if (ArgumentCount == _arguments.Length)
                Array.Resize(ref _arguments, _arguments.Length * 2);
            _arguments[ArgumentCount++] = new ArgumentRange(_at, _bulkLength);
            if (_bulkLength > LongestArgument)
                LongestArgument = _bulkLength;
            _at += _bulkLength + 2;
            _scanned = _at;
            _bulkLength = -1;
        }

        return Complete(_at);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private RespParseStatus? ParseBulkHeader(ReadOnlySpan<byte> bytes)
    {
        // The common header, "$" with one or two digits and a line end, without a search.
        if (bytes.Length - _at >= 5 && bytes[_at] == (byte)'$')
        {
            uint first = (uint)bytes[_at + 1] - '0';
            if (first <= 9 && bytes[_at + 2] == (byte)'\r')
            {
                _bulkLength = (int)first;
                _at += 4;
                return null;
            }

            uint second = (uint)bytes[_at + 2] - '0';
            if (first - 1 <= 8 && second <= 9 && bytes[_at + 3] == (byte)'\r')
            {
                _bulkLength = (int)((first * 10) + second);
                _at += 5;
                return null;
            }
        }

        return ParseLongBulkHeader(bytes);
    }

    private RespParseStatus? ParseLongBulkHeader(ReadOnlySpan<byte> bytes)
    {
        int end = FindLineEnd(bytes, _at);
        if (end < 0)
        {
            return bytes.Length - _at > _limits.LineBytesMax
                ? Fail("Protocol error: too big bulk count string")
                : RespParseStatus.Incomplete;
        }

        if (bytes[_at] != (byte)'$')
            return Fail($"Protocol error: expected '$', got '{(char)bytes[_at]}'");
        bool isNumber = TryNumber(bytes[(_at + 1)..end], out long length);

        // Redis's own limit is higher than ours may be, and it says this first.
        if (isNumber && length is > 16384 and <= UnauthenticatedSaysMax && !Authenticated)
            return Fail("Protocol error: unauthenticated bulk length");
        if (!isNumber || length < 0 || length > _limits.BulkBytesMax
            || length > Array.MaxLength - end - 4)
        {
            return Fail("Protocol error: invalid bulk length");
        }

        _bulkLength = (int)length;
        _at = end + 2;
        return null;
    }

    private RespParseStatus ParseInline(ReadOnlySpan<byte> bytes)
    {
        // Redis looks for the end of the line as C does: behind a NUL it finds none, however long it waits.
        int newline = bytes[_scanned..].IndexOfAny((byte)'\n', (byte)0);
        if (newline < 0 || bytes[_scanned + newline] == 0)
        {
            _scanned = newline < 0 ? bytes.Length : _scanned + newline;
            return bytes.Length > _limits.LineBytesMax
                ? Fail("Protocol error: too big inline request")
                : RespParseStatus.Incomplete;
        }

        newline += _scanned;
        ReadOnlySpan<byte> line = bytes[..newline];
        if (!line.IsEmpty && line[^1] == (byte)'\r')
            line = line[..^1];
        if (_inline is null || _inline.Length < line.Length)
            _inline = new byte[Math.Max(line.Length, 64)];
        if (!SplitInline(line))
            return Fail("Protocol error: unbalanced quotes in request");
        InlineBytes = _inline;
        return Complete(newline + 1);
    }

    /// <summary>Redis's sdssplitargs: words, "quoted with \escapes", 'or plainly'. An unquoted word never grows.</summary>
    private bool SplitInline(ReadOnlySpan<byte> line)
    {
        int at = 0;
        int to = 0;
        while (true)
        {
            while (at < line.Length && IsSpace(line[at]))
                at++;
            if (at == line.Length || line[at] == 0)
                return true;
            int start = to;
            if (!SplitWord(line, ref at, ref to))
                return false;
            if (ArgumentCount == _arguments.Length)
                Array.Resize(ref _arguments, _arguments.Length * 2);
            _arguments[ArgumentCount++] = new ArgumentRange(start, to - start);
            LongestArgument = Math.Max(LongestArgument, to - start);
        }
    }

    private bool SplitWord(ReadOnlySpan<byte> line, ref int at, ref int to)
    {
        byte quote = 0;
        while (at < line.Length)
        {
            byte c = line[at];
            if (quote == 0)
            {
                // Fewer than those that are skipped between words: so does Redis.
                if (c is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r' or 0)
                    return true;
                if (c is (byte)'"' or (byte)'\'')
                    quote = c;
                else
                    _inline![to++] = c;
                at++;
                continue;
            }

            if (c == quote)
            {
                // A closing quote ends the word: a space or nothing follows.
                at++;
                return at == line.Length || IsSpace(line[at]);
            }

            if (c == 0)
                return false;
            at += quote == (byte)'"' ? Unescape(line[at..], out c) : UnescapePlain(line[at..], out c);
            _inline![to++] = c;
        }

        return quote == 0;
    }

    private static int Unescape(ReadOnlySpan<byte> text, out byte value)
    {
        value = text[0];
        if (value != (byte)'\\' || text.Length < 2)
            return 1;
        if (text.Length >= 4 && text[1] == (byte)'x' && char.IsAsciiHexDigit((char)text[2]) && char.IsAsciiHexDigit((char)text[3]))
        {
            value = (byte)((HexValue(text[2]) << 4) | HexValue(text[3]));
            return 4;
        }

        value = text[1] switch
        {
            (byte)'n' => (byte)'\n',
            (byte)'r' => (byte)'\r',
            (byte)'t' => (byte)'\t',
            (byte)'b' => (byte)'\b',
            (byte)'a' => (byte)'\a',
            _ => text[1],
        };
        return 2;
    }

    private static int UnescapePlain(ReadOnlySpan<byte> text, out byte value)
    {
        value = text[0];
        if (value != (byte)'\\' || text.Length < 2 || text[1] != (byte)'\'')
            return 1;
        value = (byte)'\'';
        return 2;
    }

    private static int HexValue(byte c) => c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;

    private static bool IsSpace(byte c) => c is (byte)' ' or (>= 9 and <= 13);

    /// <summary>The carriage return that ends the line from <paramref name="start"/>, once the byte after it is there.</summary>
    private int FindLineEnd(ReadOnlySpan<byte> bytes, int start)
    {
        int from = Math.Max(start, _scanned);
        int end = bytes[from..].IndexOf((byte)'\r');
        if (end < 0)
        {
            _scanned = bytes.Length;
            return -1;
        }

        _scanned = from + end;
        return _scanned + 1 < bytes.Length ? _scanned : -1;
    }

    /// <summary>Redis's string2ll: no sign but minus, no leading zero, no space.</summary>
    public static bool TryNumber(ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        if (text.IsEmpty || text.Length > 20)
            return false;
        bool negative = text[0] == (byte)'-';
        ReadOnlySpan<byte> digits = negative ? text[1..] : text;
        if (digits.IsEmpty || (digits[0] == (byte)'0' && (digits.Length > 1 || negative)))
            return false;
        ulong sum = 0;
        foreach (byte b in digits)
        {
            uint digit = (uint)b - '0';
            if (digit > 9 || sum > (ulong.MaxValue - digit) / 10)
                return false;
            sum = (sum * 10) + digit;
        }

        if (negative ? sum > 1UL << 63 : sum > long.MaxValue)
            return false;
        value = negative ? (long)(0 - sum) : (long)sum;
        return true;
    }

    private RespParseStatus Complete(int consumed)
    {
        Consumed = consumed;
        _at = 0;
        _scanned = 0;
        _argumentsExpected = 0;
        _bulkLength = -1;
        return RespParseStatus.Complete;
    }

    private RespParseStatus Fail(string error)
    {
        Error = error;
        return RespParseStatus.Error;
    }
}
