namespace Kvasir.Server.Sessions;

/// <summary>What connections may be and hold. Set inside the mailbox, read by event loops.</summary>
internal sealed class ConnectionLimits
{
    /// <summary>
    /// Every client has a buffer of so many bytes in Redis, and what fits into it is not counted: limits are about the rest.
    /// </summary>
    public const int UncountedOutput = 16 << 10;

    public int ClientsMax { get; set; } = 10_000;

    /// <summary>What <see cref="ClientsMax"/> can be at most: files that the process may have open.</summary>
    public int ClientsCeiling { get; set; } = int.MaxValue;

    /// <summary>An idle client is closed after so long; 0 for never.</summary>
    public int IdleSeconds { get; set; }

    /// <summary>When a subscriber that does not read is closed.</summary>
    public OutputLimit SubscriberOutput { get; set; } = new(0, 0, 0);

    /// <summary>When any other client that does not read is closed; without a limit it is made to wait instead.</summary>
    public OutputLimit NormalOutput { get; set; } = new(0, 0, 0);

    /// <summary>Of who has not given the password: refusals, which nobody need keep (CVE-2025-21605).</summary>
    private static OutputLimit StrangerOutput { get; } = new(1024, 0, 0);

    public OutputLimit Output(RespSession session) =>
        session.IsStranger ? StrangerOutput : session.Subscriptions.Any ? SubscriberOutput : NormalOutput;

    /// <summary>For how long the longest reply of late counts, in CLIENT LIST; negative for ever.</summary>
    public long ReplyPeakMs { get; set; } = ReplyPeakDefaultMs;

    public const long ReplyPeakDefaultMs = 5000;

    /// <summary>Bytes of one unfinished request at which a client is closed.</summary>
    public long InputMax { get; set; } = 1L << 30;
}

/// <summary>client-output-buffer-limit of one class of clients.</summary>
/// <param name="HardBytes">Unsent bytes at which a client is closed at once; 0 for never.</param>
/// <param name="SoftBytes">Unsent bytes beyond which it may be for a while only; 0 for no such limit.</param>
/// <param name="SoftMs">How long.</param>
internal sealed record OutputLimit(long HardBytes, long SoftBytes, long SoftMs);
