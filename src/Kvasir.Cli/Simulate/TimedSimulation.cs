using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>Many seeds of a simulated group or cluster, one after another or several at once, and what they came to together.</summary>
internal sealed class TimedSimulation<TFaults>
    where TFaults : struct, Enum
{
    private readonly SimulationOptions<TFaults> _options;
    private readonly long _count;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly DiskWorkloadCoverage _coverage = new();
    private long _done;
    private long _messages;
    private long _entries;
    private ulong _traceHash;
    private SimulationResult? _last;

    /// <summary>For <paramref name="count"/> seeds, from that of <paramref name="options"/> on.</summary>
    public TimedSimulation(SimulationOptions<TFaults> options, long count)
    {
        _options = options;
        _count = count;
    }

    private double Minutes => _done * _options.Time.TotalMinutes;

    /// <summary>Runs the seeds; stops at the first broken promise.</summary>
    public int Run(int jobs, string? history, bool json, CancellationToken stop)
    {
        SimulationOptions<TFaults> WithSeed(long number) => _options with { Seed = _options.Seed + (ulong)number };
        if (SeedRuns.Run(_count, jobs, n => WithSeed(n).Run(), Add, stop) is (var number, { } failure))
            return Explain(WithSeed(number), failure, stop);
        if (history is not null && _last is { } last)
            Write(history, last.History);
        if (json)
            WriteJson();
        else
            WriteText();
        if (_done < _count)
            stop.ThrowIfCancellationRequested();
        return ExitCode.Success;
    }

    private static int Explain(SimulationOptions<TFaults> options, WorkloadFailedException failure, CancellationToken stop)
    {
        Console.Error.WriteLine("kvasir: " + failure.Message);
        if (options.Trace is not null)
            return ExitCode.Negative;
        (SimulationOptions<TFaults> shortest, WorkloadFailedException how, IReadOnlyCollection<string> lines) =
            AbandonableWork.Run(() => FailureShortening.Shorten(options, failure), stop);
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
        HistoryFiles.Write(writer, HistoryFiles.FormatOf(file), history);
    }

    private void Add(SimulationResult result)
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
            $"{Counted.Of(_done, "seed")} from {_options.Seed} on, {Counted.Of(_options.Population.Count, _options.Population.Name.TrimEnd('s'))}, {Counted.Of(Minutes, "minute")} of their time, "
            + $"{_messages:N0} messages, {_entries:N0} entries committed, no promise broken; {_watch.Elapsed.TotalSeconds:F0} s; trace {_traceHash:x16}"));
    }

    private void WriteJson() => Console.WriteLine(JsonSerializer.Serialize(new Dictionary<string, object>(StringComparer.Ordinal)
    {
        ["seeds"] = _done,
        ["firstSeed"] = _options.Seed,
        [_options.Population.Name] = _options.Population.Count,
        ["minutes"] = Minutes,
        ["messages"] = _messages,
        ["entries"] = _entries,
        ["coverage"] = _coverage.Counts,
        ["trace"] = _traceHash.ToString("x16", CultureInfo.InvariantCulture),
        ["seconds"] = _watch.Elapsed.TotalSeconds,
    }));
}
