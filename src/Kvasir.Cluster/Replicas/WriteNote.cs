using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// What an entry of a log says of the writes in it that came from other nodes: whose they are and what they were answered
/// (docs/formats/group-entries.md). One note is of one session.
/// </summary>
public static class WriteNote
{
    /// <summary>Of notes in an entry's payload: no replica has it.</summary>
    public const uint Stream = 0;

    public const byte Kind = 3;

    /// <summary>Replies that are longer are not kept: hardly any write has one.</summary>
    public const int ReplyBytesMax = 128;

    private const int HeadBytes = 9;

    // In the place of a length that no reply has.
    private const ulong NotKept = 0;
    private const ulong Ok = 1;

    private static ReadOnlySpan<byte> OkReply => "+OK\r\n"u8;

    public static void Begin(BytesBuffer note, ulong session)
    {
        Span<byte> head = note.GetSpan(HeadBytes);
        head[0] = Kind;
        BinaryPrimitives.WriteUInt64LittleEndian(head[1..], session);
        note.Advance(HeadBytes);
    }

    /// <param name="note">One that was begun.</param>
    /// <param name="previous">The sequence number that was added before, or 0.</param>
    /// <param name="sequence">Of the write.</param>
    /// <param name="reply">What it was answered.</param>
    public static void Add(BytesBuffer note, ulong previous, ulong sequence, ReadOnlySpan<byte> reply)
    {
        ulong code = (ulong)reply.Length;
        bool isOk = reply.SequenceEqual(OkReply);
        if (isOk || reply.Length is (int)Ok or > ReplyBytesMax)
        {
            code = isOk ? Ok : NotKept;
            reply = default;
        }

        Span<byte> span = note.GetSpan((2 * Varint.MaxLength64) + reply.Length);
        int at = Varint.Write(span, sequence - previous);
        at += Varint.Write(span[at..], code);
        reply.CopyTo(span[at..]);
        note.Advance(at + reply.Length);
    }

    /// <summary>Whether the bytes are a note of this kind, whole and well-formed.</summary>
    public static bool IsValid(ReadOnlySpan<byte> note)
    {
        if (note.Length <= HeadBytes || note[0] != Kind)
            return false;
        ReadOnlySpan<byte> rest = note[HeadBytes..];
        ulong sequence = 0;
        while (!rest.IsEmpty)
        {
            if (!TryNext(ref rest, ref sequence, out _))
                return false;
        }

        return true;
    }

    internal static ulong SessionOf(ReadOnlySpan<byte> note) => BinaryPrimitives.ReadUInt64LittleEndian(note[1..]);

    /// <param name="note">A valid one.</param>
    /// <param name="sequence">Of the write.</param>
    /// <param name="reply">What it was answered.</param>
    /// <param name="isKept">The reply is there.</param>
    internal static bool TryFind(ReadOnlySpan<byte> note, ulong sequence, out ReadOnlySpan<byte> reply, out bool isKept)
    {
        ReadOnlySpan<byte> rest = note[HeadBytes..];
        ulong number = 0;
        while (TryNext(ref rest, ref number, out reply))
        {
            if (number != sequence)
                continue;
            isKept = !reply.IsEmpty;
            return true;
        }

        reply = default;
        isKept = false;
        return false;
    }

    private static bool TryNext(scoped ref ReadOnlySpan<byte> rest, scoped ref ulong sequence, out ReadOnlySpan<byte> reply)
    {
        reply = default;
        if (rest.IsEmpty || !Varint.TryRead(rest, out ulong step, out int first) || !Varint.TryRead(rest[first..], out ulong length, out int second))
            return false;
        sequence += step;
        rest = rest[(first + second)..];
        if (length == Ok)
        {
            reply = OkReply;
            return true;
        }

        if (length > (ulong)rest.Length)
            return false;
        reply = rest[..(int)length];
        rest = rest[(int)length..];
        return true;
    }
}
