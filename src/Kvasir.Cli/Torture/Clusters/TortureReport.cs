using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Checkers;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What came of a run.</summary>
internal sealed record TortureReport
{
    private const int SecondsInALine = 15;

    [JsonPropertyName("nodes")] public required int Nodes { get; init; }

    [JsonPropertyName("clients")] public required int Clients { get; init; }

    [JsonPropertyName("seed")] public required ulong Seed { get; init; }

    [JsonPropertyName("operations")] public required long Operations { get; init; }

    [JsonPropertyName("answered")] public required long Answered { get; init; }

    [JsonPropertyName("failed")] public required long Failed { get; init; }

    [JsonPropertyName("in_doubt")] public required long InDoubt { get; init; }

    [JsonPropertyName("errors")] public required IReadOnlyDictionary<string, long> Errors { get; init; }

    [JsonPropertyName("faults")] public required IReadOnlyDictionary<string, int> Faults { get; init; }

    [JsonPropertyName("answered_by_second")] public required IReadOnlyList<int> BySecond { get; init; }

    [JsonPropertyName("seconds_with_a_write")] public required int SecondsWithAWrite { get; init; }

    [JsonPropertyName("longest_without_a_write_ms")] public required double LongestSilenceMs { get; init; }

    [JsonPropertyName("leader_kills")] public required int LeaderKills { get; init; }

    [JsonPropertyName("leader_kills_without_recovery")] public required int Unrecovered { get; init; }

    [JsonPropertyName("write_gap_median_ms")] public double? GapMedianMs { get; init; }

    [JsonPropertyName("write_gap_max_ms")] public double? GapMaxMs { get; init; }

    [JsonPropertyName("keys")] public required int Keys { get; init; }

    [JsonPropertyName("keys_read_again")] public required int KeysReadAgain { get; init; }

    [JsonPropertyName("verdict")] public required string Verdict { get; init; }

    [JsonPropertyName("broken_promise")] public string? BrokenPromise { get; init; }

    /// <summary>Why the run ended before its time, by no fault of the cluster's: what there is of a history is judged.</summary>
    [JsonPropertyName("ended_early")] public string? EndedEarly { get; init; }

    [JsonPropertyName("explanation")] public string? Explanation { get; init; }

    [JsonPropertyName("replay")] public required string Replay { get; init; }

    public static TortureReport From(
        ClusterTortureOptions options, ClientLoad load, HistoryJudge judge, AvailabilityMeter meter, IReadOnlyDictionary<string, int> faults, string? broken,
        Exception? failure)
    {
        IReadOnlyList<TimeSpan?> gaps = meter.Gaps();
        SortedDictionary<string, long> errors = new(StringComparer.Ordinal);
        foreach ((string word, long count) in load.Clients.SelectMany(c => c.Errors))
            errors[word] = errors.GetValueOrDefault(word) + count;
        return new TortureReport
        {
            Nodes = options.Nodes,
            Clients = options.Clients,
            Seed = options.Seed,
            Operations = judge.Operations,
            Answered = judge.Answered,
            Failed = judge.Failed,
            InDoubt = judge.InDoubt,
            Errors = errors,
            Faults = faults,
            BySecond = meter.Answered,
            SecondsWithAWrite = meter.Written.Count(w => w > 0),
            LongestSilenceMs = Math.Round(meter.LongestSilence.TotalMilliseconds, 1),
            LeaderKills = gaps.Count,
            Unrecovered = gaps.Count(g => g is null),
            GapMedianMs = AvailabilityMeter.Median(gaps) is { } median ? Math.Round(median.TotalMilliseconds, 1) : null,
            GapMaxMs = gaps.OfType<TimeSpan>().Select(g => (double?)Math.Round(g.TotalMilliseconds, 1)).Max(),
            Keys = judge.Keys,
            KeysReadAgain = judge.KeysReadAgain,
            Verdict = judge.Verdict switch
            {
                Simulation.Checkers.Verdict.Valid => "valid",
                Simulation.Checkers.Verdict.Invalid => "INVALID",
                _ => "unknown",
            },
            BrokenPromise = broken,
            EndedEarly = failure?.Message,
            Explanation = judge.Explanation,
            Replay = string.Create(CultureInfo.InvariantCulture, $"kvasir torture --nodes {options.Nodes} --minutes {options.Duration.TotalMinutes:0.##} --clients {options.Clients} --faults {TortureFaultWords.Text(options.Faults)} --engines {string.Join(',', options.Engines)} --seed {options.Seed}"),
        };
    }

    public string ToText()
    {
        StringBuilder text = new();
        text.AppendLine(CultureInfo.InvariantCulture, $"{Counted.Of(Nodes, "node")}, {Counted.Of(Clients, "client")}, seed {Seed}: {Counted.Of(Operations, "operation")}, {Answered:N0} answered, {Failed:N0} refused, {InDoubt:N0} in doubt");
        text.AppendLine("answered in each second:");
        for (int i = 0; i < BySecond.Count; i += SecondsInALine)
            text.AppendLine(CultureInfo.InvariantCulture, $"{i,6}  {string.Join(' ', BySecond.Skip(i).Take(SecondsInALine).Select(n => n.ToString(CultureInfo.InvariantCulture).PadLeft(6)))}");
        text.AppendLine(CultureInfo.InvariantCulture, $"a write succeeded in {SecondsWithAWrite} of {BySecond.Count} seconds; longest time without one {LongestSilenceMs:F0} ms");
        text.AppendLine("faults: " + Listed(Faults.Select(f => (f.Key, (long)f.Value))));
        text.AppendLine("errors that clients saw: " + Listed(Errors.Select(e => (e.Key, e.Value))));
        string kills = LeaderKills == 1 ? "1 kill of a leader" : $"{LeaderKills} kills of leaders";
        text.AppendLine(GapMaxMs is null
            ? kills
            : string.Create(CultureInfo.InvariantCulture, $"{kills}: writes stood still for {GapMedianMs:F0} ms in the median, {GapMaxMs:F0} ms at most{(Unrecovered > 0 ? $", {Unrecovered} times until the end" : "")}"));
        text.Append(CultureInfo.InvariantCulture, $"verdict: {Verdict}; {Keys:N0} keys judged, {KeysReadAgain:N0} read again at the end");
        if (BrokenPromise is not null)
            text.AppendLine().Append(CultureInfo.InvariantCulture, $"BROKEN: {BrokenPromise}");
        if (EndedEarly is not null)
            text.AppendLine().Append(CultureInfo.InvariantCulture, $"ENDED EARLY: {EndedEarly}");
        return text.AppendLine().Append(Replay).ToString();
    }

    private static string Listed(IEnumerable<(string Name, long Count)> counts)
    {
        string list = string.Join(", ", counts.Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Name} {c.Count:N0}")));
        return list.Length == 0 ? "none" : list;
    }
}
