using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>Many seeds of the disk workload, one after another or several at once, and what they came to together.</summary>
internal sealed class DiskSimulation
{
    private readonly DiskWorkloadOptions _options;
    private readonly long _count;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly DiskWorkloadCoverage _coverage = new();
    private long _done;
    private long _crashPoints;
    private long _operations;
    private long _transactions;
    private long _failures;
    private ulong _fingerprint;

    private DiskSimulation(DiskWorkloadOptions options, long count)
    {
        _options = options;
        _count = count;
    }

    /// <summary>Runs seeds from that of <paramref name="options"/> on; stops at the first broken promise.</summary>
    public static int Run(DiskWorkloadOptions options, long count, int jobs, bool json, CancellationToken stop)
    {
        DiskSimulation simulation = new(options, count);
        if (SeedRuns.Run(count, jobs, n => DiskWorkload.Run(options with { Seed = options.Seed + (ulong)n }), simulation.Add, stop) is (_, { } broken))
        {
            Console.Error.WriteLine("kvasir: " + broken.Message);
            if (broken.InnerException is { } cause)
                Console.Error.WriteLine(cause);
            return ExitCode.Negative;
        }

        if (json)
            simulation.WriteJson();
        else
            simulation.WriteText();
        if (simulation._done < count)
            stop.ThrowIfCancellationRequested();
        return ExitCode.Success;
    }

    private void Add(DiskWorkloadResult result)
    {
        _done++;
        _crashPoints += result.CrashPoints;
        _operations += result.Operations;
        _transactions += result.Transactions;
        _failures += result.Failures;

        // In whatever order the seeds end.
        _fingerprint += result.Fingerprint * ((result.Seed * 2) + 1);
        _coverage.Add(result.Coverage);
        if (!Console.IsErrorRedirected)
            Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{_done}/{_count} seeds, {_crashPoints} crash points, {_watch.Elapsed.TotalSeconds:F0} s "));
    }

    private void WriteText()
    {
        foreach ((string what, long count) in _coverage.Counts)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count,12:N0}  {what}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{_done} seeds from {_options.Seed} on, {_transactions} transactions, {_operations} disk operations, {_crashPoints} crash points recovered and checked, "
            + $"{_failures} times a bad disk, no promise broken; {_watch.Elapsed.TotalSeconds:F0} s; fingerprint {_fingerprint:x16}"));
    }

    private void WriteJson() => Console.WriteLine(JsonSerializer.Serialize(new
    {
        seeds = _done,
        firstSeed = _options.Seed,
        crashPoints = _crashPoints,
        operations = _operations,
        transactions = _transactions,
        failures = _failures,
        coverage = _coverage.Counts,
        fingerprint = _fingerprint.ToString("x16", CultureInfo.InvariantCulture),
        seconds = _watch.Elapsed.TotalSeconds,
    }));
}
