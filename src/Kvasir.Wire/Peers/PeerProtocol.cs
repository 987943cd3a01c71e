namespace Kvasir.Wire.Peers;

/// <summary>
/// What two nodes must agree on before anything else, byte by byte in docs/formats/peer-protocol.md. Everything up to and
/// including the refusal stays as it is in all later versions, so that any two can tell each other why they do not talk.
/// </summary>
public static class PeerProtocol
{
    /// <summary>The oldest and the newest version that this code speaks.</summary>
    public const ushort OldestVersion = 2;
    public const ushort NewestVersion = 2;

    /// <summary>Until the other side has shown who it is, its frames may not be larger.</summary>
    public const int GreetingBytesMax = 1024;

    /// <summary>Each side sends this first. The line end shows a transfer that meddles with text.</summary>
    public static ReadOnlySpan<byte> Magic => "KVPEER\r\n"u8;

    /// <summary>True while these bytes can be the beginning of what a peer sends.</summary>
    public static bool MayBegin(ReadOnlySpan<byte> bytes) => bytes.StartsWith(Magic) || Magic.StartsWith(bytes);

    /// <summary>The version that two sides speak, the newest that both know; 0 when there is none.</summary>
    public static ushort Common(ushort theirOldest, ushort theirNewest, ushort oldest = OldestVersion, ushort newest = NewestVersion)
    {
        ushort common = Math.Min(theirNewest, newest);
        return common >= Math.Max(theirOldest, oldest) ? common : (ushort)0;
    }
}

/// <summary>What a frame is: the first byte of its payload.</summary>
public enum PeerFrameKind : byte
{
    /// <summary>The first frame of whoever connects.</summary>
    Hello = 1,

    /// <summary>The answer to <see cref="Hello"/>.</summary>
    Welcome = 2,

    /// <summary>The other answer to it; nothing follows.</summary>
    Refusal = 3,

    /// <summary>From now on this connection is the link between the two nodes.</summary>
    Open = 4,

    /// <summary>A message, opaque here.</summary>
    Message = 5,

    /// <summary>I am there. Nothing answers it.</summary>
    Ping = 6,

    /// <summary>A question on a connection that was made for it.</summary>
    Call = 7,

    /// <summary>Its answer.</summary>
    Answer = 8,
}

/// <summary>What a connection is for.</summary>
public enum PeerPurpose : byte
{
    /// <summary>Messages both ways, for as long as it holds.</summary>
    Link = 1,

    /// <summary>One question and its answer.</summary>
    Call = 2,
}

/// <summary>Why a connection is refused. Numbers that are not known here are a reason, too.</summary>
public enum PeerRefusalReason : byte
{
    /// <summary>The two belong to different clusters.</summary>
    WrongCluster = 1,

    /// <summary>No version of the protocol is known to both.</summary>
    NoCommonVersion = 2,

    /// <summary>Another node was meant than the one that listens here.</summary>
    WrongNode = 3,

    /// <summary>A node has connected to itself.</summary>
    Itself = 4,

    /// <summary>Two processes say that they are the same node.</summary>
    SameNode = 5,

    /// <summary>The one that was asked belongs to no cluster yet.</summary>
    NoMember = 6,

    /// <summary>The one that was asked does not know the other as a node of the cluster: not yet, or not any more.</summary>
    UnknownNode = 7,

    /// <summary>There is a link between the two already; both have connected at once.</summary>
    Duplicate = 8,

    /// <summary>What was received is not what the protocol allows.</summary>
    Malformed = 9,

    /// <summary>There are too many connections that have not shown yet who they are.</summary>
    Busy = 10,
}
