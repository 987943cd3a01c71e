namespace Kvasir.Simulation.Workloads;

/// <summary>The files that engines keep their content in, of whatever engine.</summary>
internal static class DataFiles
{
    public static bool Are(string path) =>
        path.EndsWith(".sst", StringComparison.Ordinal) || path.EndsWith(".log", StringComparison.Ordinal);
}
