namespace Kvasir.Simulation.Workloads;

/// <summary>The files that engines keep their content in, of whatever engine.</summary>
internal static class DataFiles
{
    public static bool Are(string path) =>
        path.EndsWith(".sst", StringComparison.Ordinal) || path.EndsWith(".log", StringComparison.Ordinal)
        || IsTree(path);

    /// <summary>Written by one thread at a time, for which others wait.</summary>
    public static bool IsTree(string path) => path.EndsWith("/tree", StringComparison.Ordinal);
}
