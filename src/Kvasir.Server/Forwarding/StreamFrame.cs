using Kvasir.Server.Sessions;
using System.Buffers.Binary;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Forwarding;

/// <summary>
/// What stands before the bytes of a stream of forwarded requests, or of the replies to them (docs/formats/forwarding.md).
/// Frames of one direction of a stream are numbered from zero: a number that is missing is a loss, and ends the stream.
/// </summary>
internal readonly record struct StreamFrame
{
    public const int RequestHeaderBytes = 35;
    public const int RepeatHeaderBytes = RequestHeaderBytes + 32;
    public const int ReplyHeaderBytes = 26;
    private const byte EndFlag = 1;
    private const byte LaneFlag = 2;
    private const byte RepeatFlag = 4;

    public bool IsReply { get; init; }

    /// <summary>The stream is over; no bytes follow.</summary>
    public bool Ends { get; init; }

    /// <summary>Of a request: a lane. What is lost on it is not sent again, and nothing of it is remembered.</summary>
    public bool IsLane { get; init; }

    /// <summary>Drawn by who sends requests; never drawn again.</summary>
    public required ulong Stream { get; init; }

    /// <summary>Counted in its direction.</summary>
    public required ulong Number { get; init; }

    /// <summary>Up to here the shard's log is committed, as far as the sender knew before it sent what follows.</summary>
    public LogPosition Known { get; init; }

    /// <summary>Of a request: the shard.</summary>
    public GroupId Group { get; init; }

    /// <summary>Of a request: the index of the shard's database.</summary>
    public int Database { get; init; }

    /// <summary>Of a request: RESP's version, 2 or 3.</summary>
    public int Protocol { get; init; }

    /// <summary>Of a request that was sent before and may have happened, alone in its frame. Null for those that come for the first time.</summary>
    public RepeatedWrite? Repeat { get; init; }

    public int HeaderBytes => IsReply ? ReplyHeaderBytes : Repeat is null ? RequestHeaderBytes : RepeatHeaderBytes;

    public void Write(Span<byte> header)
    {
        header[0] = IsReply ? Channel.Replies : Channel.Requests;
        header[1] = (byte)((Ends ? EndFlag : 0) | (IsLane ? LaneFlag : 0) | (Repeat is null ? 0 : RepeatFlag));
        BinaryPrimitives.WriteUInt64LittleEndian(header[2..], Stream);
        BinaryPrimitives.WriteUInt64LittleEndian(header[10..], Number);
        BinaryPrimitives.WriteUInt64LittleEndian(header[18..], Known.Value);
        if (IsReply)
            return;
        BinaryPrimitives.WriteUInt32LittleEndian(header[26..], Group.Value);
        BinaryPrimitives.WriteInt32LittleEndian(header[30..], Database);
        header[34] = (byte)Protocol;
        if (Repeat is not { } repeat)
            return;
        BinaryPrimitives.WriteUInt64LittleEndian(header[35..], repeat.At);
        BinaryPrimitives.WriteUInt64LittleEndian(header[43..], repeat.Id.Session);
        BinaryPrimitives.WriteUInt64LittleEndian(header[51..], repeat.Id.Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(header[59..], repeat.Known.Value);
    }

    /// <summary>False when it is none: the other side does not speak this version.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, out StreamFrame frame, out ReadOnlySpan<byte> bytes)
    {
        frame = default;
        bytes = default;
        if (message.IsEmpty || message[0] is not (Channel.Requests or Channel.Replies))
            return false;
        bool isReply = message[0] == Channel.Replies;
        if (message.Length < ReplyHeaderBytes || message[1] > (isReply ? EndFlag : EndFlag | LaneFlag | RepeatFlag))
            return false;
        bool isRepeat = (message[1] & RepeatFlag) != 0;
        int headerBytes = isReply ? ReplyHeaderBytes : isRepeat ? RepeatHeaderBytes : RequestHeaderBytes;
        if (message.Length < headerBytes)
            return false;
        frame = new StreamFrame
        {
            IsReply = isReply,
            Ends = (message[1] & EndFlag) != 0,
            IsLane = (message[1] & LaneFlag) != 0,
            Stream = BinaryPrimitives.ReadUInt64LittleEndian(message[2..]),
            Number = BinaryPrimitives.ReadUInt64LittleEndian(message[10..]),
            Known = new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(message[18..])),
            Group = isReply ? GroupId.None : new GroupId(BinaryPrimitives.ReadUInt32LittleEndian(message[26..])),
            Database = isReply ? 0 : BinaryPrimitives.ReadInt32LittleEndian(message[30..]),
            Protocol = isReply ? 0 : message[34],
            Repeat = !isRepeat ? null : new RepeatedWrite(
                BinaryPrimitives.ReadUInt64LittleEndian(message[35..]),
                new WriteId(BinaryPrimitives.ReadUInt64LittleEndian(message[43..]), BinaryPrimitives.ReadUInt64LittleEndian(message[51..])),
                new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(message[59..]))),
        };
        bytes = message[headerBytes..];
        return isReply || (frame.Database >= 0 && frame.Protocol is 2 or 3 && !frame.Group.IsNone);
    }
}
