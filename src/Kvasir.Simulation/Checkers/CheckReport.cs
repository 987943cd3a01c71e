using System.Globalization;
using System.Text;

namespace Kvasir.Simulation.Checkers;

/// <summary>What a checker found of one key.</summary>
public sealed record KeyVerdict(string Key, Verdict Verdict, int Operations, int Uncertain)
{
    /// <summary>Operations tried, over all orders.</summary>
    public long Steps { get; init; }

    /// <summary>Which bound was met, when the verdict is unknown.</summary>
    public string? Bound { get; init; }

    /// <summary>For a person, when the verdict is invalid; several lines.</summary>
    public string? Explanation { get; init; }
}

/// <summary>What a checker found of a whole history.</summary>
public sealed record CheckReport(IReadOnlyList<KeyVerdict> Keys)
{
    /// <summary>One invalid key is enough to say no; one unknown is enough not to say yes.</summary>
    public Verdict Verdict =>
        Keys.Any(k => k.Verdict == Verdict.Invalid) ? Verdict.Invalid
        : Keys.Any(k => k.Verdict == Verdict.Unknown) ? Verdict.Unknown
        : Verdict.Valid;

    public string Explain()
    {
        var text = new StringBuilder();
        foreach (KeyVerdict key in Keys)
        {
            if (key.Explanation is { } explanation)
                text.Append(CultureInfo.InvariantCulture, $"key \"{key.Key}\": {explanation}");
        }

        return text.ToString();
    }
}
