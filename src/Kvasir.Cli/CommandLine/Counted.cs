using System.Globalization;

namespace Kvasir.Cli.CommandLine;

/// <summary>Numbers of things, as a person says them.</summary>
internal static class Counted
{
    /// <summary>"1 node", "3 nodes".</summary>
    /// <param name="count">How many.</param>
    /// <param name="thing">The word for one of them.</param>
    public static string Of(double count, string thing) =>
        string.Create(CultureInfo.InvariantCulture, $"{count:#,0.###} {thing}{(count == 1 ? "" : "s")}");
}
