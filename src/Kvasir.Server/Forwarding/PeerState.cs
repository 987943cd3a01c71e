namespace Kvasir.Server.Forwarding;

/// <summary>What is known of another node, and what is on its way to it.</summary>
internal sealed class PeerState
{
    /// <summary>Until something is refused.</summary>
    public bool IsReachable { get; set; } = true;

    /// <summary>It takes nothing more for now.</summary>
    public bool IsFull { get; set; }

    /// <summary>Of requests without a reply.</summary>
    public long Bytes { get; set; }
}
