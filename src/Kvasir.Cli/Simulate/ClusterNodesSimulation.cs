using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Nodes;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>Many seeds of a simulated cluster, one after another or several at once, and what they came to together.</summary>
internal sealed class ClusterNodesSimulation
{
    private readonly ClusterSimulationOptions _options;
    private readonly long _count;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly DiskWorkloadCoverage _coverage = new();
    private long _done;
    private long _messages;
    private long _entries;
    private ulong _traceHash;
    private ClusterSimulationResult? _last;

    private ClusterNodesSimulation(ClusterSimulationOptions options, long count)
    {
        _options = options;
        _count = count;
    }

    /// <summary>Runs seeds from that of <paramref name="options"/> on; stops at the first broken promise.</summary>
    public static int Run(ClusterSimulationOptions options, long count, int jobs, string? history, bool json, CancellationToken stop)
    {
        ClusterNodesSimulation simulation = new(options, count);
        ClusterSimulationOptions WithSeed(long number) => options with { Seed = options.Seed + (ulong)number };
        if (SeedRuns.Run(count, jobs, n => ClusterSimulation.Run(WithSeed(n)), simulation.Add, stop) is (var number, { } failure))
            return Explain(WithSeed(number), failure);
        if (history is not null && simulation._last is { } last)
            Write(history, last.History);
        if (json)
            simulation.WriteJson();
        else
            simulation.WriteText();
        return ExitCode.Success;
    }

    private static int Explain(ClusterSimulationOptions options, WorkloadFailedException failure)
    {
        Console.Error.WriteLine("kvasir: " + failure.Message);
        if (options.Trace is not null)
            return ExitCode.Negative;
        (ClusterSimulationOptions shortest, WorkloadFailedException how, IReadOnlyCollection<string> lines) = ClusterFailure.Shorten(options, failure);
        Console.Error.WriteLine($"The shortest run of this seed that fails, and the last of what happens in it:");
        foreach (string line in lines)
            Console.Error.WriteLine(line);
        Console.Error.WriteLine(how.Message);
        if (shortest != options)
            Console.Error.WriteLine($"(All of it: {options.ReplayCommand} --trace)");
        return ExitCode.Negative;
    }

    private static void Write(string file, IReadOnlyList<HistoryEvent> history)
    {
        using var writer = new StreamWriter(file);
        HistoryFiles.Write(writer, file.EndsWith(".edn", StringComparison.OrdinalIgnoreCase) ? HistoryFormat.Edn : HistoryFormat.Json, history);
    }

    private void Add(ClusterSimulationResult result)
    {
        _done++;
        _messages += result.Messages;
        _entries += result.Entries;
        _last = result;

        // In whatever order the seeds end.
        _traceHash += result.TraceHash * ((result.Seed * 2) + 1);
        _coverage.Add(result.Coverage);
        if (!Console.IsErrorRedirected)
            Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{_done}/{_count} seeds, {_entries:N0} entries, {_watch.Elapsed.TotalSeconds:F0} s "));
    }

    private void WriteText()
    {
        foreach ((string what, long count) in _coverage.Counts)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count,14:N0}  {what}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{_done} seeds from {_options.Seed} on, {_options.Nodes} nodes, {_done * _options.Time.TotalMinutes:N0} minutes of their time, {_messages:N0} messages, "
            + $"{_entries:N0} entries committed, no promise broken; {_watch.Elapsed.TotalSeconds:F0} s; trace {_traceHash:x16}"));
    }

    private void WriteJson() => Console.WriteLine(JsonSerializer.Serialize(new
    {
        seeds = _done,
        firstSeed = _options.Seed,
        nodes = _options.Nodes,
        minutes = _done * _options.Time.TotalMinutes,
        messages = _messages,
        entries = _entries,
        coverage = _coverage.Counts,
        trace = _traceHash.ToString("x16", CultureInfo.InvariantCulture),
        seconds = _watch.Elapsed.TotalSeconds,
    }));
}
