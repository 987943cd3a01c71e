using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using Kvasir.Primitives;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>What a load run measured, for people and (field by field) for scripts.</summary>
internal sealed record LoadReport
{
    [JsonPropertyName("workload")] public required string Workload { get; init; }

    [JsonPropertyName("address")] public required string Address { get; init; }

    [JsonPropertyName("mode")] public required string Mode { get; init; }

    [JsonPropertyName("clients")] public int Clients { get; init; }

    [JsonPropertyName("pipeline")] public int Pipeline { get; init; }

    [JsonPropertyName("keys")] public long Keys { get; init; }

    [JsonPropertyName("value_bytes")] public int ValueBytes { get; init; }

    [JsonPropertyName("target_per_second")] public long? Target { get; init; }

    [JsonPropertyName("seconds")] public double Seconds { get; init; }

    [JsonPropertyName("requests")] public long Requests { get; init; }

    [JsonPropertyName("requests_per_second")] public double PerSecond { get; init; }

    [JsonPropertyName("worst_second")] public double? WorstSecond { get; init; }

    [JsonPropertyName("misses")] public long Misses { get; init; }

    [JsonPropertyName("errors")] public long Errors { get; init; }

    [JsonPropertyName("first_error")] public string? FirstError { get; init; }

    [JsonPropertyName("interrupted")] public bool Interrupted { get; init; }

    [JsonPropertyName("latency")] public required IReadOnlyDictionary<string, LatencyReport> Latency { get; init; }

    public static LoadReport From(LoadOptions options, LoadTally tally, double seconds, double? worst, bool interrupted)
    {
        IReadOnlyDictionary<LoadOperation, LatencyHistogram> histograms = tally.Merge();
        var latency = new Dictionary<string, LatencyReport>(StringComparer.Ordinal);
        foreach ((LoadOperation operation, LatencyHistogram histogram) in histograms)
            latency[Name(operation)] = LatencyReport.From(histogram);
        return new LoadReport
        {
            Workload = options.Workload,
            Address = string.Join(',', options.Addresses),
            Mode = options.Rate > 0 ? "open" : "closed",
            Clients = options.Clients,
            Pipeline = options.Rate > 0 ? 0 : options.Pipeline,
            Keys = options.Keys,
            ValueBytes = options.ValueBytes,
            Target = options.Rate > 0 ? options.Rate : null,
            Seconds = Math.Round(seconds, 3),
            Requests = tally.Completed,
            PerSecond = Math.Round(tally.Completed / seconds, 1),
            WorstSecond = worst is { } w ? Math.Round(w, 1) : null,
            Misses = tally.Misses,
            Errors = tally.Errors,
            FirstError = tally.FirstError,
            Interrupted = interrupted,
            Latency = latency,
        };
    }

    public string Table()
    {
        var text = new StringBuilder();
        string mode = Target is { } rate
            ? string.Create(CultureInfo.InvariantCulture, $"open loop at {rate:N0}/s (latency from the due time)")
            : string.Create(CultureInfo.InvariantCulture, $"closed loop, pipeline {Pipeline}");
        text.AppendLine(CultureInfo.InvariantCulture, $"{Workload} at {Address}: {Clients} clients, {mode}, {Keys:N0} keys, values of {ValueBytes} bytes");
        text.Append(CultureInfo.InvariantCulture, $"{Requests:N0} requests in {Seconds:0.00} s: {PerSecond:N0} a second");
        if (WorstSecond is { } worst)
            text.Append(CultureInfo.InvariantCulture, $" (slowest second {worst:N0})");
        text.AppendLine(CultureInfo.InvariantCulture, $"; {Misses:N0} reads found nothing, {Errors:N0} errors{(Interrupted ? "; interrupted" : "")}");
        if (FirstError is not null)
            text.AppendLine("first error: " + FirstError);
        text.AppendLine(LatencyReport.Header.PadLeft(LatencyReport.Header.Length + 18));
        foreach ((string name, LatencyReport latency) in Latency)
            text.AppendLine(name.PadRight(18) + latency.Row());
        return text.ToString();
    }

    private static string Name(LoadOperation operation) =>
        operation == LoadOperation.ReadModifyWrite ? "read-modify-write" : operation.ToString().ToLowerInvariant();
}
