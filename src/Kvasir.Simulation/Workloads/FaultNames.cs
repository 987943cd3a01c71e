using System.Globalization;

namespace Kvasir.Simulation.Workloads;

/// <summary>What faults are called on a command line: flags by the lower-case names of their values, one bit each.</summary>
public static class FaultNames
{
    /// <summary>The single faults, in the order of their bits.</summary>
    public static IReadOnlyList<TFaults> Kinds<TFaults>()
        where TFaults : struct, Enum => [.. Enum.GetValues<TFaults>().Where(f => long.IsPow2(Bits(f)))];

    public static TFaults Every<TFaults>()
        where TFaults : struct, Enum => FromBits<TFaults>(Kinds<TFaults>().Sum(Bits));

    /// <summary>All names with commas between, for a help text.</summary>
    public static string List<TFaults>()
        where TFaults : struct, Enum => string.Join(", ", Kinds<TFaults>().Select(Name));

    /// <summary>What <see cref="Parse"/> reads.</summary>
    public static string Format<TFaults>(TFaults faults)
        where TFaults : struct, Enum =>
        Bits(faults) == 0 ? "none"
        : Bits(faults) == Bits(Every<TFaults>()) ? "all"
        : string.Join(',', Kinds<TFaults>().Where(f => faults.HasFlag(f)).Select(Name));

    /// <summary>Names with commas between; <c>all</c>, <c>none</c>; <c>-name</c> takes one away from all. Null when one is unknown.</summary>
    public static TFaults? Parse<TFaults>(string text)
        where TFaults : struct, Enum
    {
        string[] words = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        long faults = words.Length > 0 && words[0].StartsWith('-') ? Bits(Every<TFaults>()) : 0;
        foreach (string word in words)
        {
            if (!Enum.TryParse(word.TrimStart('-'), ignoreCase: true, out TFaults fault) || char.IsAsciiDigit(word[^1]))
                return null;
            faults = word.StartsWith('-') ? faults & ~Bits(fault) : faults | Bits(fault);
        }

        return FromBits<TFaults>(faults);
    }

    /// <summary><paramref name="faults"/> without those of <paramref name="other"/>.</summary>
    public static TFaults Without<TFaults>(TFaults faults, TFaults other)
        where TFaults : struct, Enum => FromBits<TFaults>(Bits(faults) & ~Bits(other));

    private static long Bits<TFaults>(TFaults faults)
        where TFaults : struct, Enum => Convert.ToInt64(faults, CultureInfo.InvariantCulture);

    private static TFaults FromBits<TFaults>(long bits)
        where TFaults : struct, Enum => (TFaults)Enum.ToObject(typeof(TFaults), bits);

    private static string Name<TFaults>(TFaults fault)
        where TFaults : struct, Enum => fault.ToString().ToLowerInvariant();
}
