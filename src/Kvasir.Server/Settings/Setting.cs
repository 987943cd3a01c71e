namespace Kvasir.Server.Settings;

/// <summary>One parameter that CONFIG knows.</summary>
/// <param name="Name">Lower case.</param>
/// <param name="Kind">What its value looks like.</param>
/// <param name="Default">Its value before anybody sets it.</param>
internal sealed record Setting(string Name, SettingKind Kind, string Default)
{
    /// <summary>Its older name, given back beside the new one.</summary>
    public string? Alias { get; init; }

    /// <summary>Set at the start only.</summary>
    public bool Fixed { get; init; }

    /// <summary>Set by clients only with enable-protected-configs.</summary>
    public bool Guarded { get; init; }

    /// <summary>Given back only to who asks for it by name.</summary>
    public bool Hidden { get; init; }

    public long Min { get; init; }

    public long Max { get; init; } = long.MaxValue;

    public string[] Choices { get; init; } = [];
}

internal enum SettingKind
{
    Text,
    Flag,
    Number,
    Octal,

    /// <summary>A number that may carry a unit: 1k is 1000, 1kb 1024.</summary>
    Memory,
    MemoryOrPercent,
    Choice,
    Secret,
    Folder,
    Save,
    OutputLimits,
    NotificationClasses,
    Percentiles,
    OomScores,
}
