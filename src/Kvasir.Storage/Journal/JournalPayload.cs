using Kvasir.Primitives;

namespace Kvasir.Storage.Journal;

/// <summary>
/// The convention for what a journal record carries: a list of entries, each a stream id (varint), a length (varint) and
/// that many bytes. One record can so hold the batches of several engines, all or nothing (docs/formats/journal.md).
/// </summary>
public static class JournalPayload
{
    public static void AppendEntry(BytesBuffer destination, uint streamId, ReadOnlySpan<byte> bytes)
    {
        Span<byte> span = destination.GetSpan((2 * Varint.MaxLength32) + bytes.Length);
        int at = Varint.Write(span, streamId);
        at += Varint.Write(span[at..], (ulong)bytes.Length);
        bytes.CopyTo(span[at..]);
        destination.Advance(at + bytes.Length);
    }
}

/// <summary>Walks the entries of a record. Never reads outside them, whatever they hold.</summary>
public ref struct JournalPayloadReader
{
    private ReadOnlySpan<byte> _rest;

    public JournalPayloadReader(ReadOnlySpan<byte> payload) => _rest = payload;

    public uint StreamId { get; private set; }

    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>True after <see cref="MoveNext"/> returned false because the bytes make no sense.</summary>
    public bool Malformed { get; private set; }

    public bool MoveNext()
    {
        if (_rest.IsEmpty || Malformed)
            return false;
        if (!Varint.TryRead(_rest, out ulong stream, out int first) || stream > uint.MaxValue
            || !Varint.TryRead(_rest[first..], out ulong length, out int second)
            || length > (ulong)(_rest.Length - first - second))
        {
            Malformed = true;
            return false;
        }

        StreamId = (uint)stream;
        Bytes = _rest.Slice(first + second, (int)length);
        _rest = _rest[(first + second + (int)length)..];
        return true;
    }
}
