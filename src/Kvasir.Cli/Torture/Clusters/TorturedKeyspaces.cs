using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>The keyspaces that clients of a tortured cluster use: one of each engine.</summary>
internal static class TorturedKeyspaces
{
    /// <summary>The database that connections begin with.</summary>
    public const string First = "db0";

    public const string DefaultEngine = "lsm";

    private static readonly string[] s_engines = [DefaultEngine, "log", "btree"];

    /// <summary>Words for people.</summary>
    public static string Known => string.Join(", ", s_engines);

    /// <summary>Engines by commas, each once.</summary>
    public static IReadOnlyList<string> Parse(string engines)
    {
        string[] words = [.. engines.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Distinct(StringComparer.Ordinal)];
        if (words.Length == 0 || words.FirstOrDefault(static w => Array.IndexOf(s_engines, w) < 0) is not null)
            throw new UsageException($"--engines takes a list of {Known}, not '{engines}'");
        return words;
    }

    /// <summary>That of an engine: databases of a cluster have the default one.</summary>
    public static string Of(string engine) => engine == DefaultEngine ? First : "torture-" + engine;
}
