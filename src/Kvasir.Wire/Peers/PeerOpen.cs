using System.Buffers.Binary;

namespace Kvasir.Wire.Peers;

/// <summary>The node with the lower number of the two makes this connection the link between them.</summary>
/// <param name="Link">Grows with each link that a process opens, and begins anywhere; never 0.</param>
public readonly record struct PeerOpen(ulong Link)
{
    /// <summary>All of the frame.</summary>
    public const int FrameBytes = PeerFrame.EnvelopeBytes + PayloadBytes;

    private const int PayloadBytes = 16;

    /// <param name="frame">Of <see cref="FrameBytes"/>.</param>
    public void Write(Span<byte> frame)
    {
        Span<byte> payload = frame.Slice(PeerFrame.EnvelopeBytes, PayloadBytes);
        payload.Clear();
        payload[0] = (byte)PeerFrameKind.Open;
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Link);
        PeerFrame.Seal(frame[..FrameBytes]);
    }

    /// <summary>False when a whole frame is none of these.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out PeerOpen open)
    {
        ReadOnlySpan<byte> payload = frame[PeerFrame.EnvelopeBytes..];
        bool fits = payload.Length == PayloadBytes && payload[0] == (byte)PeerFrameKind.Open;
        open = fits ? new PeerOpen(BinaryPrimitives.ReadUInt64LittleEndian(payload[8..])) : default;
        return fits && open.Link != 0;
    }
}
