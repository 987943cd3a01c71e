namespace Kvasir.Cli.Bench.Clusters;

/// <summary>Of a few measured values.</summary>
internal static class Percentile
{
    public static double Of(IEnumerable<double> values, double part)
    {
        double[] sorted = [.. values.Order()];
        return sorted[Math.Min(sorted.Length - 1, (int)(part * sorted.Length))];
    }
}
