using System.Buffers.Binary;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Messages;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// The bytes of Raft messages between nodes: many groups' messages to one peer in one batch, each append with its entries beside
/// it (docs/formats/raft-messages.md). Of sender and receiver only the generations are there: the nodes are those of the connection.
/// </summary>
internal static class RaftMessageCodec
{
    public const byte FormatVersion = 2;
    public const int BatchHeaderBytes = 2;

    /// <summary>Indexes and terms stay below this, so that nothing computed from them overflows.</summary>
    public const ulong NumberMax = (1UL << 56) - 1;

    // Length, group, two generations, kind, flags, and at most nine numbers.
    private const int HeadBytesMax = 4 + (3 * Varint.MaxLength32) + 2 + (9 * Varint.MaxLength64);

    public static void BeginBatch(BytesBuffer to)
    {
        to.Clear();
        to.Append(Channel.Raft);
        to.Append(FormatVersion);
    }

    /// <summary>Writes all but the entries of a message; gives what <see cref="End"/> wants to know.</summary>
    public static int Begin(BytesBuffer to, GroupId group, in RaftMessage message)
    {
        int start = to.Length;
        Span<byte> span = to.GetSpan(HeadBytesMax);
        int at = 4;
        at += Varint.Write(span[at..], group.Value);
        at += Varint.Write(span[at..], message.From.Generation);
        at += Varint.Write(span[at..], message.To.Generation);
        span[at++] = (byte)message.Kind;
        span[at++] = (byte)message.Flags;
        RaftMessageFields fields = FieldsOf(message.Kind);
        at += Varint.Write(span[at..], message.Term.Value);
        if ((fields & RaftMessageFields.Index) != 0)
            at += Varint.Write(span[at..], message.Index.Value);
        if ((fields & RaftMessageFields.LogTerm) != 0)
            at += Varint.Write(span[at..], message.LogTerm.Value);
        if ((fields & RaftMessageFields.LastIndex) != 0)
            at += Varint.Write(span[at..], message.LastIndex.Value);
        if ((fields & RaftMessageFields.Commit) != 0)
            at += Varint.Write(span[at..], message.Commit.Value);
        if ((fields & RaftMessageFields.Round) != 0)
            at += Varint.Write(span[at..], message.Round);
        if ((fields & RaftMessageFields.Echo) != 0)
            at += Varint.Write(span[at..], message.Echo);
        if ((fields & RaftMessageFields.SentAt) != 0)
            at += Varint.Write(span[at..], ZigZag(message.SentAt.Ticks));
        if ((fields & RaftMessageFields.Entries) != 0)
        {
            at += Varint.Write(span[at..], message.EntryTerm.Value);
            at += Varint.Write(span[at..], message.LastIndex - message.Index);
        }

        to.Advance(at);
        return start;
    }

    /// <summary>The next entry of the append that was begun.</summary>
    public static void AddEntry(BytesBuffer to, EntryKind kind, ReadOnlySpan<byte> bytes)
    {
        Span<byte> span = to.GetSpan(Varint.MaxLength64 + bytes.Length);
        int at = Varint.Write(span, ((ulong)bytes.Length << 2) | (byte)kind);
        bytes.CopyTo(span[at..]);
        to.Advance(at + bytes.Length);
    }

    public static void End(BytesBuffer to, int start) =>
        BinaryPrimitives.WriteUInt32LittleEndian(to.WrittenSpan[start..], (uint)(to.Length - start - 4));

    /// <summary>
    /// Which numbers follow the term, by kind; in the order in which they are declared. Snapshots are offered by their first chunk.
    /// </summary>
    public static RaftMessageFields FieldsOf(MessageKind kind) => kind switch
    {
        MessageKind.PreVote or MessageKind.Vote => RaftMessageFields.Index | RaftMessageFields.LogTerm | RaftMessageFields.Round,
        MessageKind.PreVoteResponse or MessageKind.VoteResponse or MessageKind.Wake => RaftMessageFields.None,
        MessageKind.Append => RaftMessageFields.Index | RaftMessageFields.LogTerm | RaftMessageFields.Commit | RaftMessageFields.Entries,
        MessageKind.AppendResponse => RaftMessageFields.Index | RaftMessageFields.LogTerm | RaftMessageFields.LastIndex,
        MessageKind.Heartbeat => RaftMessageFields.LastIndex | RaftMessageFields.Commit | RaftMessageFields.Round
            | RaftMessageFields.Echo | RaftMessageFields.SentAt,
        MessageKind.HeartbeatResponse => RaftMessageFields.Round | RaftMessageFields.Echo | RaftMessageFields.SentAt,
        MessageKind.TimeoutNow => RaftMessageFields.Round,
        _ => RaftMessageFields.Unknown,
    };

    public static long UnZigZag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);

    private static ulong ZigZag(long value) => ((ulong)value << 1) ^ (ulong)(value >> 63);
}

/// <summary>The numbers of a message behind its term, in the order in which they are written.</summary>
[Flags]
internal enum RaftMessageFields
{
    None = 0,
    Index = 1,
    LogTerm = 2,
    LastIndex = 4,
    Commit = 8,
    Round = 16,
    Echo = 32,
    SentAt = 64,

    /// <summary>Their term, how many there are, and they themselves.</summary>
    Entries = 128,
    Unknown = 256,
}
