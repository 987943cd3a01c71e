using System.Buffers.Binary;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>
/// etcd's KV.Put and KV.Range: two messages of Protocol Buffers in gRPC over HTTP/2, as little of each as these calls need,
/// so that a client of etcd costs no more than one of RESP. One call at a time on a connection.
/// </summary>
/// <remarks>
/// <para>
/// Frames after RFC 9113. Header blocks of requests are constants, literals that enter no table (RFC 7541, 6.2.2). Those
/// of replies are not decoded: a call that succeeded has sent a message, one that failed ends with headers alone
/// (trailers-only). So an error is known, and its words are not.
/// </para>
/// Messages after rpc.proto of etcd 3: PutRequest { bytes key = 1; bytes value = 2 }, RangeRequest { bytes key = 1 }, answered
/// by RangeResponse { header = 1; repeated kvs = 2; more = 3; count = 4 }. A Range without options is linearizable.
/// </remarks>
internal sealed class EtcdLoadProtocol : ILoadProtocol
{
    /// <summary>What fits into a frame that every server takes (RFC 9113, 4.2), headers of the message aside.</summary>
    public const int ValueBytesMax = 16_000;

    private const int FrameHeaderBytes = 9;

    // No server may send a longer frame to one that has not allowed it (RFC 9113, 4.2).
    private const int FramePayloadMax = 1 << 14;
    private const int MessageHeaderBytes = 5;
    private const int WindowFirst = 65_535;

    // As much as there can be: replies are never held up for our permission.
    private const int ReceiveWindow = int.MaxValue;
    private const int ReceiveWindowRenewed = 1 << 30;

    private const byte Data = 0;
    private const byte Headers = 1;
    private const byte ResetStream = 3;
    private const byte Settings = 4;
    private const byte Ping = 6;
    private const byte GoAway = 7;
    private const byte WindowUpdate = 8;

    private const byte EndStream = 1;
    private const byte Acknowledgement = 1;
    private const byte EndHeaders = 4;
    private const byte Padded = 8;

    private readonly byte[] _putHeaders;
    private readonly byte[] _rangeHeaders;
    private readonly BytesBuffer _own = new();
    private readonly BytesBuffer _message = new();
    private uint _stream = unchecked((uint)-1);
    private bool _isRange;
    private long _sendWindow = WindowFirst;
    private long _received;

    public EtcdLoadProtocol(string authority)
    {
        _putHeaders = HeaderBlock("/etcdserverpb.KV/Put", authority);
        _rangeHeaders = HeaderBlock("/etcdserverpb.KV/Range", authority);
        _own.Append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);

        // No table for headers of replies, no pushed streams, and a wide window for each stream.
        Span<byte> settings = stackalloc byte[18];
        Setting(settings, 1, 0);
        Setting(settings[6..], 2, 0);
        Setting(settings[12..], 4, ReceiveWindow);
        Frame(_own, Settings, 0, 0, settings.Length);
        _own.Append(settings);
        Frame(_own, WindowUpdate, 0, 0, 4);
        Number(_own, ReceiveWindow - WindowFirst);
    }

    public void Get(BytesBuffer output, long key)
    {
        Span<byte> message = stackalloc byte[2 + LoadKey.Length];
        KeyField(message, key);
        _isRange = true;
        Call(output, _rangeHeaders, message, default);
    }

    public void Set(BytesBuffer output, long key, ReadOnlySpan<byte> value)
    {
        Check.That(value.Length <= ValueBytesMax);
        Span<byte> message = stackalloc byte[2 + LoadKey.Length + 6];
        KeyField(message, key);
        message[2 + LoadKey.Length] = 0x12;
        int at = 3 + LoadKey.Length;
        for (uint rest = (uint)value.Length; ; rest >>= 7)
        {
            message[at++] = (byte)(rest < 0x80 ? rest : rest | 0x80);
            if (rest < 0x80)
                break;
        }

        _isRange = false;
        Call(output, _putHeaders, message[..at], value);
    }

    public void Increment(BytesBuffer output, long key) => throw new InvalidOperationException("etcd has no increment");

    public void Scan(BytesBuffer output, long key, int length, long keys) => throw new InvalidOperationException("etcd is not asked for scans");

    public int Take(ReadOnlySpan<byte> input, out LoadReply reply)
    {
        reply = LoadReply.Nothing;
        if (input.Length < FrameHeaderBytes)
            return 0;
        int length = (input[0] << 16) | (input[1] << 8) | input[2];
        if (length > FramePayloadMax)
            throw new IOException("what answers does not speak HTTP/2: no etcd is there");
        if (input.Length < FrameHeaderBytes + length)
            return 0;
        byte type = input[3];
        byte flags = input[4];
        uint stream = BinaryPrimitives.ReadUInt32BigEndian(input[5..]) & 0x7FFFFFFF;
        ReadOnlySpan<byte> payload = input.Slice(FrameHeaderBytes, length);
        switch (type)
        {
            case Data:
                Received(length);
                if (stream == _stream)
                    _message.Append(Unpadded(payload, flags));
                break;
            case Settings when (flags & Acknowledgement) == 0:
                Frame(_own, Settings, Acknowledgement, 0, 0);
                break;
            case Ping when (flags & Acknowledgement) == 0:
                Frame(_own, Ping, Acknowledgement, 0, length);
                _own.Append(payload);
                break;
            case WindowUpdate when stream == 0 && length == 4:
                _sendWindow += BinaryPrimitives.ReadUInt32BigEndian(payload) & 0x7FFFFFFF;
                break;
            case GoAway:
                throw new IOException($"the server ends the connection: HTTP/2 error {(length >= 8 ? BinaryPrimitives.ReadUInt32BigEndian(payload[4..]) : 0)}");
        }

        bool ends = type == ResetStream || (type is Data or Headers && (flags & EndStream) != 0);
        if (ends && stream == _stream)
            reply = Judge(type);
        return FrameHeaderBytes + length;
    }

    public void AppendOwn(BytesBuffer output)
    {
        if (_own.Length == 0)
            return;
        output.Append(_own.WrittenSpan);
        _own.Clear();
    }

    private LoadReply Judge(byte lastFrame)
    {
        ReadOnlySpan<byte> message = _message.WrittenSpan;
        if (lastFrame == ResetStream || message.Length < MessageHeaderBytes || message[0] != 0
            || BinaryPrimitives.ReadUInt32BigEndian(message[1..]) != message.Length - MessageHeaderBytes)
            return LoadReply.Error;
        return _isRange && !HasPairs(message[MessageHeaderBytes..]) ? LoadReply.Missing : LoadReply.Answer;
    }

    /// <summary>Whether a RangeResponse has a field 2.</summary>
    private static bool HasPairs(ReadOnlySpan<byte> message)
    {
        while (TryVarint(ref message, out ulong tag))
        {
            if (tag == ((2 << 3) | 2))
                return true;
            if (!TryVarint(ref message, out ulong number))
                return false;

            // Only lengths and varints stand in this message.
            if ((tag & 7) == 2)
                message = number <= (ulong)message.Length ? message[(int)number..] : default;
        }

        return false;
    }

    private static bool TryVarint(ref ReadOnlySpan<byte> bytes, out ulong value)
    {
        value = 0;
        for (int i = 0; i < bytes.Length && i < 10; i++)
        {
            value |= (ulong)(bytes[i] & 0x7F) << (7 * i);
            if (bytes[i] < 0x80)
            {
                bytes = bytes[(i + 1)..];
                return true;
            }
        }

        return false;
    }

    private void Call(BytesBuffer output, byte[] headers, ReadOnlySpan<byte> begin, ReadOnlySpan<byte> end)
    {
        // 1, 3, 5 ... as many as the generator can ask in years.
        _stream += 2;
        Check.That(_stream < 0x7FFFFFFF);
        int length = MessageHeaderBytes + begin.Length + end.Length;
        _sendWindow -= length;
        if (_sendWindow < 0)
            throw new IOException("the server does not let us send (HTTP/2 flow control)");
        _message.Clear();
        AppendOwn(output);
        Frame(output, Headers, EndHeaders, _stream, headers.Length);
        output.Append(headers);
        Frame(output, Data, EndStream, _stream, length);
        output.Append((byte)0);
        Number(output, (uint)(length - MessageHeaderBytes));
        output.Append(begin);
        output.Append(end);
    }

    private void Received(int bytes)
    {
        _received += bytes;
        if (_received < ReceiveWindowRenewed)
            return;
        Frame(_own, WindowUpdate, 0, 0, 4);
        Number(_own, (uint)_received);
        _received = 0;
    }

    private static ReadOnlySpan<byte> Unpadded(ReadOnlySpan<byte> payload, byte flags) =>
        (flags & Padded) == 0 || payload.IsEmpty || payload[0] >= payload.Length ? payload : payload[1..^payload[0]];

    private static void KeyField(Span<byte> message, long key)
    {
        message[0] = 0x0A;
        message[1] = LoadKey.Length;
        LoadKey.Write(message.Slice(2, LoadKey.Length), key, "key:"u8);
    }

    private static byte[] HeaderBlock(string path, string authority)
    {
        var block = new BytesBuffer();

        // From the static table: method POST, scheme http; then names of the table with values of our own.
        block.Append([0x83, 0x86]);
        Literal(block, [0x04], path);
        Literal(block, [0x01], authority);
        Literal(block, [0x0F, 31 - 15], "application/grpc");
        Literal(block, [0x00, 2, (byte)'t', (byte)'e'], "trailers");
        return block.WrittenSpan.ToArray();
    }

    private static void Literal(BytesBuffer block, ReadOnlySpan<byte> name, string value)
    {
        Check.That(value.Length < 127);
        block.Append(name);
        block.Append((byte)value.Length);
        block.Append(Encoding.ASCII.GetBytes(value));
    }

    private static void Frame(BytesBuffer output, byte type, byte flags, uint stream, int length)
    {
        Span<byte> header = output.GetSpan(FrameHeaderBytes);
        header[0] = (byte)(length >> 16);
        header[1] = (byte)(length >> 8);
        header[2] = (byte)length;
        header[3] = type;
        header[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(header[5..], stream);
        output.Advance(FrameHeaderBytes);
    }

    private static void Number(BytesBuffer output, uint number)
    {
        BinaryPrimitives.WriteUInt32BigEndian(output.GetSpan(4), number);
        output.Advance(4);
    }

    private static void Setting(Span<byte> destination, ushort name, uint value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, name);
        BinaryPrimitives.WriteUInt32BigEndian(destination[2..], value);
    }
}
