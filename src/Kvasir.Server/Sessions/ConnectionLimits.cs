namespace Kvasir.Server.Sessions;

/// <summary>What connections may be and hold. Set inside the mailbox, read by event loops.</summary>
internal sealed class ConnectionLimits
{
    public int ClientsMax { get; set; } = 10_000;

    /// <summary>An idle client is closed after so long; 0 for never.</summary>
    public int IdleSeconds { get; set; }

    /// <summary>Unsent bytes at which a subscriber is closed; 0 for never.</summary>
    public long PubSubOutputMax { get; set; }

    /// <summary>Unsent bytes at which any other client is closed; 0 for never (it is made to wait instead).</summary>
    public long NormalOutputMax { get; set; }

    /// <summary>Bytes of one unfinished request at which a client is closed.</summary>
    public long InputMax { get; set; } = 1L << 30;
}
