namespace Kvasir.Cluster.Conversions;

/// <summary>How far a conversion is: a moment's reading.</summary>
public sealed record ConversionStatus
{
    public required string Keyspace { get; init; }

    public required string From { get; init; }

    public required string To { get; init; }

    public required ConversionStage Stage { get; init; }

    /// <summary>Rows copied.</summary>
    public long Rows { get; init; }

    /// <summary>Bytes of keys and values of those.</summary>
    public long Bytes { get; init; }

    /// <summary>As many as the source thinks that it has.</summary>
    public long RowsEstimated { get; init; }

    /// <summary>Rows compared, of both engines.</summary>
    public long RowsCompared { get; init; }

    /// <summary>Bytes of the log that the target has not taken yet, other keyspaces' among them.</summary>
    public long LogBytesBehind { get; init; }

    /// <summary>Of the live rows, once it was found to be the same in both engines.</summary>
    public string? Checksum { get; init; }

    /// <summary>Why it failed.</summary>
    public string? Reason { get; init; }

    /// <summary>It failed because of what is in the keyspace, or of what came of the copy: another try would end as this one did.</summary>
    public bool IsHopeless { get; init; }

    public TimeSpan Elapsed { get; init; }

    /// <summary>Why nothing else is converted now.</summary>
    internal static string RefusalOfAnother(string keyspace, bool isWithdrawn) => isWithdrawn
        ? $"the conversion of keyspace {keyspace} is being taken back; one at a time: its status says `withdrawing` until it is over"
        : $"keyspace {keyspace} is being converted; one at a time";

    /// <summary>Nothing changes any more, and another conversion may begin.</summary>
    public bool IsEnded => Stage is ConversionStage.Done or ConversionStage.Failed or ConversionStage.Aborted;
}

public enum ConversionStage
{
    /// <summary>The source flushes, so that the copy holds none of its memory.</summary>
    Preparing = 0,

    /// <summary>Rows go from a snapshot of the source to the target.</summary>
    Copying = 1,

    /// <summary>What was written since goes from the log to the target, and to its files.</summary>
    CatchingUp = 2,

    /// <summary>All live rows of both, as of one moment, are read and compared.</summary>
    Comparing = 3,

    /// <summary>Everything is ready for the target to take the source's place.</summary>
    Switching = 4,

    /// <summary>It did not come to a switch, and the target goes.</summary>
    Withdrawing = 5,

    /// <summary>The target is the keyspace's engine.</summary>
    Done = 6,

    /// <summary>The keyspace has the engine that it had.</summary>
    Failed = 7,

    /// <summary>As <see cref="Failed"/>, because somebody wanted it so.</summary>
    Aborted = 8,
}
