using Kvasir.Cluster.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Peers;

internal enum PeerStage : byte
{
    /// <summary>The system connects.</summary>
    Connecting,

    /// <summary>We accepted; who are they?</summary>
    AwaitsHello,

    /// <summary>We connected and said who we are.</summary>
    AwaitsWelcome,

    /// <summary>Both know each other; the other one decides whether this is to be the link.</summary>
    AwaitsOpen,

    /// <summary>It is the link.</summary>
    Linked,

    /// <summary>Whoever connected for a question may ask it.</summary>
    AwaitsCall,

    /// <summary>We were asked; the answer is being thought of.</summary>
    OwesAnswer,

    /// <summary>They have it on its way, and close.</summary>
    Answered,

    /// <summary>We asked.</summary>
    AwaitsAnswer,
}

/// <summary>A connection to or from another node. The loop's, but for <see cref="Output"/>.</summary>
internal sealed class PeerConnection(ulong token, SendQueue output, PeerStage stage)
{
    /// <summary>What the kernel gives back with each event.</summary>
    public ulong Token { get; } = token;

    public SendQueue Output { get; } = output;

    public PeerStage Stage { get; set; } = stage;

    public ReceiveBuffer Input { get; } = new();

    public int FileDescriptor { get; set; }

    /// <summary>The other end as an address, for the log.</summary>
    public required string Remote { get; init; }

    /// <summary>Their greeting has begun as it must.</summary>
    public bool IsMagicSeen { get; set; }

    /// <summary>Null until it is known who the other side is, and for calls.</summary>
    public KnownPeer? Peer { get; set; }

    public ulong Incarnation { get; set; }

    /// <summary>The number of the link that it is, or was.</summary>
    public ulong Link { get; set; }

    /// <summary>Something is to have happened until then; <see cref="long.MaxValue"/> when nothing is.</summary>
    public long DeadlineMs { get; set; }

    /// <summary>When bytes came last.</summary>
    public long HeardMs { get; set; }

    /// <summary>It seems to be dead: one more look whether something came.</summary>
    public bool IsDoubted { get; set; }

    /// <summary>Bytes that the beginning of what was received should reach for the next step.</summary>
    public int WantedBytes { get; set; } = PeerProtocol.Magic.Length;

    /// <summary>When the frame began that has not ended yet; 0: there is none.</summary>
    public long FrameBeganMs { get; set; }

    /// <summary>What we ask.</summary>
    public OutgoingCall? Call { get; set; }

    /// <summary>What lies between the socket and us; null: nothing.</summary>
    public TlsRelay? Relay { get; set; }

    public bool IsClosed { get; set; }

    public bool IsStranger => Stage == PeerStage.AwaitsHello;
}

/// <summary>A question that this node asks.</summary>
internal sealed record OutgoingCall(PeerAddress To, byte[] Request, long DeadlineMs, Action<CallReply> Done);
