
namespace Kvasir.Server.Sessions;

/// <summary>LATENCY's samples: events that took longer than latency-monitor-threshold. Inside the mailbox.</summary>
internal sealed class LatencyMonitor
{
    private const int SamplesMax = 160;
    private readonly SortedDictionary<string, LatencySeries> _series = new(StringComparer.Ordinal);

    /// <summary>Zero: off.</summary>
    public long ThresholdMs { get; set; }

    public long ThresholdMicroseconds => ThresholdMs <= 0 ? long.MaxValue : ThresholdMs * 1000;

    public IReadOnlyDictionary<string, LatencySeries> Series => _series;

    public void AddCommand(CommandEntry entry, long nowMs, long microseconds) =>
        Add((entry.Definition.Flags & CommandFlags.Fast) != 0 ? "fast-command" : "command", nowMs, microseconds / 1000);

    public int Reset(string name) => _series.Remove(name) ? 1 : 0;

    public int ResetAll()
    {
        int count = _series.Count;
        _series.Clear();
        return count;
    }

    public void Add(string name, long nowMs, long milliseconds)
    {
        if (!_series.TryGetValue(name, out LatencySeries? series))
            _series.Add(name, series = new LatencySeries());
        long second = nowMs / 1000;
        series.MaxMs = Math.Max(series.MaxMs, milliseconds);
        if (series.Samples.Count != 0 && series.Samples[^1].UnixSeconds == second)
        {
            series.Samples[^1] = (second, Math.Max(series.Samples[^1].Milliseconds, milliseconds));
            return;
        }

        if (series.Samples.Count == SamplesMax)
            series.Samples.RemoveAt(0);
        series.Samples.Add((second, milliseconds));
    }
}

internal sealed class LatencySeries
{
    public List<(long UnixSeconds, long Milliseconds)> Samples { get; } = [];

    public long MaxMs { get; set; }
}
