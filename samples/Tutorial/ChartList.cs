namespace Kvasir.Samples.Tutorial;

internal static class ChartList
{
    private const string Keys = "keys in the database";

    private static readonly IReadOnlyList<(string Name, string Title, string X, string Y, bool IsLogarithmic)> s_all =
    [
        ("write", "A write", Keys, "microseconds", true),
        ("read", "A read of a key that is there", Keys, "microseconds", true),
        ("missing", "A read of a key that is not there", Keys, "microseconds", true),
        ("memory", "Keys that must be in memory", Keys, "keys", true),
        ("disk", "50,000 keys, written over and over", "writes", "bytes on disk for each byte that counts", false),
    ];

    /// <summary>Draws every chart of these figures into a file of the folder.</summary>
    public static void Draw(string results, string folder)
    {
        ILookup<string, Measurement> measured = Measurement.Load(results).ToLookup(m => m.Chart, StringComparer.Ordinal);
        foreach ((string name, string title, string x, string y, bool isLogarithmic) in s_all)
        {
            var chart = new Chart(title, x, y, isLogarithmic);
            foreach (IGrouping<string, Measurement> step in measured[name].GroupBy(m => m.Step, StringComparer.Ordinal))
                chart.Add(step.Key, step.Select(m => (m.X, m.Y)));
            File.WriteAllText(Path.Combine(folder, name + ".svg"), chart.Draw());
        }
    }
}
