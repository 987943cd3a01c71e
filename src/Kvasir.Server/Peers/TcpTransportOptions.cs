using System.Net;

namespace Kvasir.Server.Peers;

/// <summary>How a node talks to others.</summary>
public sealed record TcpTransportOptions
{
    /// <summary>Where others connect; port 0 lets the system choose.</summary>
    public required IPEndPoint Listen { get; init; }

    public int Backlog { get; init; } = 128;

    /// <summary>Null: in the clear, and whoever connects is believed.</summary>
    public PeerCertificateFiles? Certificates { get; init; }

    /// <summary>What may wait for one peer that does not read as fast as it is sent to. A single message may always.</summary>
    public int QueueBytesMax { get; init; } = 32 << 20;

    /// <summary>No message is longer. A peer that says it sends a longer one is not listened to.</summary>
    public int MessageBytesMax { get; init; } = 128 << 20;

    /// <summary>Questions and answers are no longer: they come from whoever connects.</summary>
    public int CallBytesMax { get; init; } = 1 << 20;

    /// <summary>A peer that was sent nothing for so long is told that this node is there.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>A peer that was not heard for so long is taken for dead.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromMilliseconds(1200);

    /// <summary>Until then a new connection shows who is at its other end.</summary>
    public TimeSpan GreetingMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Between the beginning and the end of one frame.</summary>
    public TimeSpan FrameMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A question that somebody else asks may wait so long for its answer.</summary>
    public TimeSpan CallMax { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>After a connection failed: the first pause before the next attempt; it doubles.</summary>
    public TimeSpan BackoffMin { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The longest. Half of each pause is drawn.</summary>
    public TimeSpan BackoffMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// A node that was just let in is not known to all others yet, and turned away by them: for so long nothing is said of it.
    /// </summary>
    public TimeSpan AcquaintanceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the transport's thread looks for what comes next before it sleeps.</summary>
    public TimeSpan BusyPoll { get; init; } = TimeSpan.Zero;

    /// <summary>Connections that have not shown yet who they are, at one time.</summary>
    public int StrangersMax { get; init; } = 128;
}

/// <summary>Nodes prove to each other that they belong together: who has no certificate of the authority is no peer.</summary>
/// <param name="Certificate">PEM file with the node's certificate and its chain.</param>
/// <param name="Key">PEM file with its private key.</param>
/// <param name="Authority">PEM file of the authority that every node's certificate comes from.</param>
public sealed record PeerCertificateFiles(string Certificate, string Key, string Authority);
