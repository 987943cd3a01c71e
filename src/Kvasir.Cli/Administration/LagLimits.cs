namespace Kvasir.Cli.Administration;

/// <summary>
/// How far a copy may be behind before that is warned of. A copy that is well is always some entries and milliseconds behind while there are
/// writes, so both must be too much; what is below the limits is there in a moment.
/// </summary>
internal sealed record LagLimits(long Entries, long Bytes, long Milliseconds)
{
    // One that gets nothing may lack little, where little is written.
    private const int TimesUntilStuck = 5;

    public static LagLimits Usual { get; } = new(Entries: 1000, Bytes: 8 << 20, Milliseconds: 2000);

    public bool Exceeds(in CopyLag lag)
    {
        bool isMuch = lag.IsUnseen || lag.Entries > Entries || lag.Bytes > Bytes;
        return isMuch
            ? lag.IsAgeUnknown || lag.Milliseconds > Milliseconds
            : lag.Entries > 0 && lag.Milliseconds > TimesUntilStuck * Milliseconds;
    }
}

/// <summary>How far a copy is behind.</summary>
/// <param name="Entries">That it lacks or has not applied, whichever is more; null where nobody knows.</param>
/// <param name="Bytes">Of those, about.</param>
/// <param name="Milliseconds">For how long, by its own account or its leader's, whichever is more.</param>
internal readonly record struct CopyLag(long? Entries, long? Bytes, long? Milliseconds)
{
    /// <summary>It does not know how old what it has may be: it has heard of no leader since its start.</summary>
    public bool IsAgeUnknown { get; init; }

    /// <summary>Its leader has heard nothing of it, and counts nothing.</summary>
    public bool IsUnseen { get; init; }
}
