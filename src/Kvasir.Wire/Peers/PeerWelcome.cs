using System.Buffers.Binary;

namespace Kvasir.Wire.Peers;

/// <summary>Who listens, and the version that both will speak.</summary>
public readonly record struct PeerWelcome
{
    /// <summary>All of the frame.</summary>
    public const int FrameBytes = PeerFrame.EnvelopeBytes + PayloadBytes;

    private const int PayloadBytes = 32;

    public ushort Version { get; init; }

    /// <summary>0: of none yet.</summary>
    public ulong Cluster { get; init; }

    /// <summary>0: it has no number yet.</summary>
    public ulong Node { get; init; }

    /// <summary>As in <see cref="PeerHello"/>.</summary>
    public ulong Incarnation { get; init; }

    /// <param name="frame">Of <see cref="FrameBytes"/>.</param>
    public void Write(Span<byte> frame)
    {
        Span<byte> payload = frame.Slice(PeerFrame.EnvelopeBytes, PayloadBytes);
        payload[0] = (byte)PeerFrameKind.Welcome;
        payload[1] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(payload[2..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Cluster);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Node);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Incarnation);
        PeerFrame.Seal(frame[..FrameBytes]);
    }

    /// <summary>False when a whole frame is none of these. Later versions may say more at the end.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out PeerWelcome welcome)
    {
        welcome = default;
        ReadOnlySpan<byte> payload = frame[PeerFrame.EnvelopeBytes..];
        if (payload.Length < PayloadBytes || payload[0] != (byte)PeerFrameKind.Welcome)
            return false;
        welcome = new PeerWelcome
        {
            Version = BinaryPrimitives.ReadUInt16LittleEndian(payload[2..]),
            Cluster = BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            Node = BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            Incarnation = BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]),
        };
        return true;
    }
}
