namespace Kvasir.Simulation.Network;

/// <summary>How messages fare on links that are neither cut nor slow.</summary>
public sealed record NetworkConditions
{
    /// <summary>No message is faster.</summary>
    public TimeSpan LatencyMin { get; init; } = TimeSpan.FromMicroseconds(200);

    /// <summary>The mean of what comes on top, exponentially distributed.</summary>
    public TimeSpan LatencyMean { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Of messages, the part that never arrives.</summary>
    public double Loss { get; init; }

    /// <summary>Of messages, the part that arrives twice.</summary>
    public double Duplication { get; init; }

    /// <summary>Messages of one link may overtake each other.</summary>
    public bool Reorders { get; init; }

    /// <summary>Bytes on their way over one link; one message always fits.</summary>
    public int LinkBytesMax { get; init; } = 1 << 20;

    /// <summary>How long both ends take to notice that a link is cut, or whole again.</summary>
    public TimeSpan NoticedAfter { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>A process that stands still for so long is taken for dead.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromMilliseconds(1200);
}
