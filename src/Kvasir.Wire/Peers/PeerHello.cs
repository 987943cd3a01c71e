using System.Buffers.Binary;

namespace Kvasir.Wire.Peers;

/// <summary>Who connects, and for what.</summary>
public readonly record struct PeerHello
{
    /// <summary>All of the frame.</summary>
    public const int FrameBytes = PeerFrame.EnvelopeBytes + PayloadBytes;

    private const int PayloadBytes = 48;

    public PeerPurpose Purpose { get; init; }

    public ushort OldestVersion { get; init; }

    public ushort NewestVersion { get; init; }

    /// <summary>0: of none yet.</summary>
    public ulong Cluster { get; init; }

    /// <summary>0: it has no number yet.</summary>
    public ulong Node { get; init; }

    /// <summary>The node that should be at the address that it connects to; 0: whoever is.</summary>
    public ulong Expected { get; init; }

    /// <summary>Drawn by each process anew: one that was restarted is told from the one before.</summary>
    public ulong Incarnation { get; init; }

    /// <summary>The number of the last link that it has had with the node it expects; 0: none.</summary>
    public ulong LastLink { get; init; }

    /// <param name="frame">Of <see cref="FrameBytes"/>.</param>
    public void Write(Span<byte> frame)
    {
        Span<byte> payload = frame.Slice(PeerFrame.EnvelopeBytes, PayloadBytes);
        payload[0] = (byte)PeerFrameKind.Hello;
        payload[1] = (byte)Purpose;
        BinaryPrimitives.WriteUInt16LittleEndian(payload[2..], OldestVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(payload[4..], NewestVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(payload[6..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Cluster);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Node);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Expected);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[32..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[40..], LastLink);
        PeerFrame.Seal(frame[..FrameBytes]);
    }

    /// <summary>False when a whole frame is none of these. Later versions may say more at the end.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out PeerHello hello)
    {
        hello = default;
        ReadOnlySpan<byte> payload = frame[PeerFrame.EnvelopeBytes..];
        if (payload.Length < PayloadBytes || payload[0] != (byte)PeerFrameKind.Hello)
            return false;
        hello = new PeerHello
        {
            Purpose = (PeerPurpose)payload[1],
            OldestVersion = BinaryPrimitives.ReadUInt16LittleEndian(payload[2..]),
            NewestVersion = BinaryPrimitives.ReadUInt16LittleEndian(payload[4..]),
            Cluster = BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            Node = BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            Expected = BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]),
            Incarnation = BinaryPrimitives.ReadUInt64LittleEndian(payload[32..]),
            LastLink = BinaryPrimitives.ReadUInt64LittleEndian(payload[40..]),
        };
        return true;
    }
}
