using System.Globalization;
using System.Text.Json.Serialization;
using Kvasir.Primitives;

namespace Kvasir.Cli.Bench;

/// <summary>A histogram of nanoseconds, as reports show it: microseconds at the usual percentiles.</summary>
internal sealed record LatencyReport(
    [property: JsonPropertyName("count")] long Count,
    [property: JsonPropertyName("mean_us")] double Mean,
    [property: JsonPropertyName("p50_us")] double P50,
    [property: JsonPropertyName("p95_us")] double P95,
    [property: JsonPropertyName("p99_us")] double P99,
    [property: JsonPropertyName("p999_us")] double P999,
    [property: JsonPropertyName("p9999_us")] double P9999,
    [property: JsonPropertyName("max_us")] double Max)
{
    public const string Header = "          count      mean       p50       p95       p99     p99.9    p99.99       max";

    public static LatencyReport From(LatencyHistogram histogram) => new(
        histogram.Count, Micros(histogram.Mean), Micros(histogram.Percentile(50)), Micros(histogram.Percentile(95)),
        Micros(histogram.Percentile(99)), Micros(histogram.Percentile(99.9)), Micros(histogram.Percentile(99.99)),
        Micros(histogram.Max));

    public string Row() => string.Create(CultureInfo.InvariantCulture,
        $"{Count,15:N0} {Short(Mean),9} {Short(P50),9} {Short(P95),9} {Short(P99),9} {Short(P999),9} {Short(P9999),9} {Short(Max),9}");

    private static double Micros(double nanoseconds) => Math.Round(nanoseconds / 1000, 3);

    private static string Short(double micros) => micros switch
    {
        >= 1_000_000 => (micros / 1_000_000).ToString("0.00", CultureInfo.InvariantCulture) + " s",
        >= 1_000 => (micros / 1_000).ToString("0.00", CultureInfo.InvariantCulture) + " ms",
        _ => micros.ToString("0.0", CultureInfo.InvariantCulture) + " us",
    };
}
