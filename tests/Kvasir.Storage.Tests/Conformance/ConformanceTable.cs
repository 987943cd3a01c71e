using System.Globalization;
using System.Reflection;
using System.Text;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>
/// What the suite has done, by engine, durability and disk. KVASIR_CONFORMANCE=10 makes its long tests ten times as long;
/// KVASIR_CONFORMANCE_TABLE names a file that the table is written to.
/// </summary>
internal static class ConformanceTable
{
    /// <summary>Where an engine has no journal, but a log that the tests imagine.</summary>
    public const string BelowALog = "below a log";

    private static readonly string[] s_columns = ["model operations", "crash points", "damaged bytes", "operations beside others"];
    private static readonly SortedDictionary<(string Engine, string Mode, DiskKind Disk), long[]> s_counts = [];

    /// <summary>How much longer than usual.</summary>
    public static int Scale { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("KVASIR_CONFORMANCE"), CultureInfo.InvariantCulture, out int scale) && scale > 0 ? scale : 1;

    public static void AddModel(string engine, string mode, DiskKind disk, long operations) => Add(0, engine, mode, disk, operations);

    public static void AddCrashes(string engine, string mode, DiskKind disk, long points) => Add(1, engine, mode, disk, points);

    public static void AddDamage(string engine, string mode, DiskKind disk, long bytes) => Add(2, engine, mode, disk, bytes);

    public static void AddConcurrent(string engine, string mode, DiskKind disk, long operations) => Add(3, engine, mode, disk, operations);

    private static void Add(int column, string engine, string mode, DiskKind disk, long count)
    {
        lock (s_counts)
        {
            if (!s_counts.TryGetValue((engine, mode, disk), out long[]? counts))
                s_counts.Add((engine, mode, disk), counts = new long[s_columns.Length]);
            counts[column] += count;
            if (Environment.GetEnvironmentVariable("KVASIR_CONFORMANCE_TABLE") is { Length: > 0 } path)
                File.WriteAllText(path, Render());
        }
    }

    private static string Render()
    {
        var text = new StringBuilder("| engine | mode | disk | tests |");
        foreach (string column in s_columns)
            text.Append(CultureInfo.InvariantCulture, $" {column} |");
        text.Append("\n| --- | --- | --- | ---: |").Insert(text.Length, " ---: |", s_columns.Length).Append('\n');
        foreach (((string engine, string mode, DiskKind disk), long[] counts) in s_counts)
        {
            text.Append(CultureInfo.InvariantCulture, $"| `{engine}` | {mode} | {(disk == DiskKind.Real ? "real" : "simulated")} | {Tests(mode, disk)} |");
            foreach (long count in counts)
                text.Append(count == 0 ? " |" : string.Create(CultureInfo.InvariantCulture, $" {count:N0} |"));
            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>Tests of the suite that run in this mode on this disk: as many for each engine.</summary>
    private static int Tests(string mode, DiskKind disk)
    {
        IEnumerable<MethodInfo> methods = typeof(ConformanceTable).Assembly.GetTypes()
            .Where(t => t.Namespace == typeof(ConformanceTable).Namespace)
            .SelectMany(t => t.GetMethods());
        return mode == BelowALog
            ? methods.Count(m => m.GetCustomAttribute<EveryEngineAttribute>()?.Disks.Contains(disk) == true)
            : methods.Count(m => m.GetCustomAttribute<EveryEngineAndDurabilityAttribute>()?.Disks.Contains(disk) == true);
    }
}
