namespace Kvasir.Simulation.Checkers;

/// <summary>
/// How much a check may cost. The question is NP-complete: what runs into a bound is answered with "unknown", never with
/// a guess.
/// </summary>
public sealed record CheckLimits
{
    public static readonly CheckLimits Default = new();

    /// <summary>Operations tried, over all orders, for one key.</summary>
    public long StepsMax { get; init; } = 50_000_000;

    /// <summary>What one key's search may remember.</summary>
    public long BytesMax { get; init; } = 1L << 30;

    /// <summary>How long all keys may take together, by the clock handed in; null leaves it to the other bounds.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Whose clock; must be there when there is a time.</summary>
    public TimeProvider? Clock { get; init; }

    /// <summary>How many further searches may be spent on making a failure short.</summary>
    public int ExplainingSearchesMax { get; init; } = 2_000;
}

/// <summary>Whether a history can have come from one copy of the data.</summary>
public enum Verdict
{
    /// <summary>There is an order that explains all; it was found.</summary>
    Valid,

    /// <summary>There is none; every order was tried or ruled out.</summary>
    Invalid,

    /// <summary>A bound was met first.</summary>
    Unknown,
}
