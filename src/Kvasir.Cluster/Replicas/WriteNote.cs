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

    public static void Begin(BytesBuffer note, ulong session)
    {
        Span<byte> head = note.GetSpan(HeadBytes);
        head[0] = Kind;
        BinaryPrimitives.WriteUInt64LittleEndian(head[1..], session);
        note.Advance(HeadBytes);
    }

    public static void Add(BytesBuffer note, ulong sequence, ReadOnlySpan<byte> reply)
    {
        if (reply.Length > ReplyBytesMax)
            reply = default;
        Span<byte> span = note.GetSpan((2 * Varint.MaxLength64) + reply.Length);
        int at = Varint.Write(span, sequence);
        at += Varint.Write(span[at..], (ulong)reply.Length);
        reply.CopyTo(span[at..]);
        note.Advance(at + reply.Length);
    }

    /// <summary>Whether the bytes are a note of this kind, whole and well-formed.</summary>
    public static bool IsValid(ReadOnlySpan<byte> note)
    {
        if (note.Length <= HeadBytes || note[0] != Kind)
            return false;
        ReadOnlySpan<byte> rest = note[HeadBytes..];
        while (!rest.IsEmpty)
        {
            if (!TryNext(ref rest, out _, out _))
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
        while (TryNext(ref rest, out ulong number, out reply))
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

    private static bool TryNext(scoped ref ReadOnlySpan<byte> rest, out ulong sequence, out ReadOnlySpan<byte> reply)
    {
        sequence = 0;
        reply = default;
        if (rest.IsEmpty || !Varint.TryRead(rest, out sequence, out int first) || !Varint.TryRead(rest[first..], out ulong length, out int second)
            || length > (ulong)(rest.Length - first - second))
            return false;
        reply = rest.Slice(first + second, (int)length);
        rest = rest[(first + second + (int)length)..];
        return true;
    }
}
