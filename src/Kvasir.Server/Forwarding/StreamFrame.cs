using System.Buffers.Binary;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Forwarding;

/// <summary>
/// What stands before the bytes of a stream of forwarded requests, or of the replies to them (docs/formats/exchange.md).
/// Frames of one direction of a stream are numbered from zero: a number that is missing is a loss, and ends the stream.
/// </summary>
/// <param name="IsReply">Of which direction.</param>
/// <param name="Ends">The stream is over; no bytes follow.</param>
/// <param name="Stream">Drawn by who sends requests; never drawn again.</param>
/// <param name="Number">Counted in its direction.</param>
/// <param name="Group">Of a request: the shard.</param>
/// <param name="Database">Of a request: the index of the shard's database.</param>
/// <param name="Protocol">Of a request: RESP's version, 2 or 3.</param>
internal readonly record struct StreamFrame(bool IsReply, bool Ends, ulong Stream, ulong Number, GroupId Group, int Database, int Protocol)
{
    public const int RequestHeaderBytes = 27;
    public const int ReplyHeaderBytes = 18;
    private const byte EndFlag = 1;

    public void Write(Span<byte> header)
    {
        header[0] = IsReply ? Channel.Replies : Channel.Requests;
        header[1] = Ends ? EndFlag : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(header[2..], Stream);
        BinaryPrimitives.WriteUInt64LittleEndian(header[10..], Number);
        if (IsReply)
            return;
        BinaryPrimitives.WriteUInt32LittleEndian(header[18..], Group.Value);
        BinaryPrimitives.WriteInt32LittleEndian(header[22..], Database);
        header[26] = (byte)Protocol;
    }

    /// <summary>False when it is none: the other side does not speak this version.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, out StreamFrame frame, out ReadOnlySpan<byte> bytes)
    {
        frame = default;
        bytes = default;
        if (message.IsEmpty || message[0] is not (Channel.Requests or Channel.Replies))
            return false;
        bool isReply = message[0] == Channel.Replies;
        int headerBytes = isReply ? ReplyHeaderBytes : RequestHeaderBytes;
        if (message.Length < headerBytes || message[1] > EndFlag)
            return false;
        frame = new StreamFrame(
            isReply,
            message[1] == EndFlag,
            BinaryPrimitives.ReadUInt64LittleEndian(message[2..]),
            BinaryPrimitives.ReadUInt64LittleEndian(message[10..]),
            isReply ? GroupId.None : new GroupId(BinaryPrimitives.ReadUInt32LittleEndian(message[18..])),
            isReply ? 0 : BinaryPrimitives.ReadInt32LittleEndian(message[22..]),
            isReply ? 0 : message[26]);
        bytes = message[headerBytes..];
        return isReply || (frame.Database >= 0 && frame.Protocol is 2 or 3 && !frame.Group.IsNone);
    }
}
