using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Wire.Peers;

/// <summary>What there is at the beginning of some received bytes.</summary>
public enum PeerFrameStatus : byte
{
    Whole = 0,

    /// <summary>The beginning of a frame; more must come.</summary>
    Partial = 1,

    /// <summary>It says that it is longer than a frame may be.</summary>
    TooLong = 2,

    /// <summary>It says that it has no payload.</summary>
    Empty = 3,

    /// <summary>The checksum does not fit.</summary>
    Damaged = 4,
}

/// <summary>
/// The envelope of everything between nodes: length of the payload (4 bytes), CRC-32C of the length and the payload (4), the
/// payload. Little-endian. The payload's first byte is its <see cref="PeerFrameKind"/>.
/// </summary>
public static class PeerFrame
{
    /// <summary>Length and checksum.</summary>
    public const int EnvelopeBytes = 8;

    /// <summary>What goes before the body of a frame: the envelope and the kind.</summary>
    public const int HeaderBytes = EnvelopeBytes + 1;

    private const int ChecksumOffset = 4;

    /// <summary>Writes what goes before a body that lies, or will lie, elsewhere.</summary>
    public static void WriteHeader(Span<byte> header, PeerFrameKind kind, ReadOnlySpan<byte> body)
    {
        // Length and kind are checked as if they were neighbours, so that both cost one step.
        Span<byte> first = stackalloc byte[5];
        BinaryPrimitives.WriteInt32LittleEndian(first, body.Length + 1);
        first[4] = (byte)kind;
        first[..4].CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[ChecksumOffset..], Crc32C.Append(Crc32C.Compute(first), body));
        header[EnvelopeBytes] = (byte)kind;
    }

    /// <summary>Puts the envelope around a payload that lies behind it already.</summary>
    public static void Seal(Span<byte> frame) =>
        WriteHeader(frame, (PeerFrameKind)frame[EnvelopeBytes], frame[HeaderBytes..]);

    /// <summary>Looks at the frame that begins here. Takes nothing for granted: the bytes may be anybody's.</summary>
    /// <param name="payloadBytesMax">A payload that says it is longer is not waited for.</param>
    /// <param name="frameBytes">All of the frame, as soon as its length is here; before, what is needed to tell.</param>
    public static PeerFrameStatus Read(ReadOnlySpan<byte> input, int payloadBytesMax, out int frameBytes)
    {
        frameBytes = EnvelopeBytes;
        if (input.Length < ChecksumOffset)
            return PeerFrameStatus.Partial;
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(input);
        if (length == 0)
            return PeerFrameStatus.Empty;
        if (length > (uint)payloadBytesMax)
            return PeerFrameStatus.TooLong;
        frameBytes = EnvelopeBytes + (int)length;
        if (input.Length < frameBytes)
            return PeerFrameStatus.Partial;
        uint checksum = Crc32C.Append(Crc32C.Compute(input[..ChecksumOffset]), input[EnvelopeBytes..frameBytes]);
        return checksum == BinaryPrimitives.ReadUInt32LittleEndian(input[ChecksumOffset..]) ? PeerFrameStatus.Whole : PeerFrameStatus.Damaged;
    }

    public static PeerFrameKind Kind(ReadOnlySpan<byte> frame) => (PeerFrameKind)frame[EnvelopeBytes];

    /// <summary>What follows the kind.</summary>
    public static ReadOnlySpan<byte> Body(ReadOnlySpan<byte> frame) => frame[HeaderBytes..];
}
