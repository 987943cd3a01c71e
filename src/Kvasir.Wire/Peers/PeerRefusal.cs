using System.Buffers.Binary;
using System.Text;

namespace Kvasir.Wire.Peers;

/// <summary>Why there will be no connection.</summary>
/// <param name="Node">Who refuses; 0: it has no number yet.</param>
/// <param name="Text">For people.</param>
public readonly record struct PeerRefusal(PeerRefusalReason Reason, ulong Node, string Text)
{
    /// <summary>Of the text, in UTF-8. What is longer is cut.</summary>
    public const int TextBytesMax = 256;

    private const int TextOffset = 16;

    /// <summary>The versions that the one who refuses speaks.</summary>
    public ushort OldestVersion { get; init; } = PeerProtocol.OldestVersion;

    public ushort NewestVersion { get; init; } = PeerProtocol.NewestVersion;

    /// <summary>All of the frame.</summary>
    public byte[] ToFrame()
    {
        Span<byte> text = stackalloc byte[TextBytesMax];
        Encoding.UTF8.GetEncoder().Convert(Text, text, flush: true, out _, out int textBytes, out _);
        byte[] frame = new byte[PeerFrame.EnvelopeBytes + TextOffset + textBytes];
        Span<byte> payload = frame.AsSpan(PeerFrame.EnvelopeBytes);
        payload[0] = (byte)PeerFrameKind.Refusal;
        payload[1] = (byte)Reason;
        BinaryPrimitives.WriteUInt16LittleEndian(payload[2..], OldestVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(payload[4..], NewestVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Node);
        text[..textBytes].CopyTo(payload[TextOffset..]);
        PeerFrame.Seal(frame);
        return frame;
    }

    /// <summary>False when a whole frame is none of these.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out PeerRefusal refusal)
    {
        refusal = default;
        ReadOnlySpan<byte> payload = frame[PeerFrame.EnvelopeBytes..];
        if (payload.Length < TextOffset || payload[0] != (byte)PeerFrameKind.Refusal)
            return false;
        ReadOnlySpan<byte> text = payload[TextOffset..];
        refusal = new PeerRefusal(
            (PeerRefusalReason)payload[1],
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            Encoding.UTF8.GetString(text[..Math.Min(text.Length, TextBytesMax)]))
        {
            OldestVersion = BinaryPrimitives.ReadUInt16LittleEndian(payload[2..]),
            NewestVersion = BinaryPrimitives.ReadUInt16LittleEndian(payload[4..]),
        };
        return true;
    }
}
