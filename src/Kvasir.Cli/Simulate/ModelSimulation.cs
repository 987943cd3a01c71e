using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>The model workload over as many seeds as its operations need, and what they came to together.</summary>
internal static class ModelSimulation
{
    // Each seed has settings, keys and values of its own; a failure replays one of them.
    private const long OperationsPerSeed = 100_000;

    public static int Run(string engine, long operations, ulong seed, bool json, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        var coverage = new DiskWorkloadCoverage();
        long done = 0;
        long seeds = 0;
        ulong fingerprint = 0;
        bool shown = !Console.IsErrorRedirected;
        while (done < operations)
        {
            ModelWorkloadResult result;
            try
            {
                ModelWorkloadOptions options = new()
                {
                    Seed = seed + (ulong)seeds,
                    Operations = Math.Min(OperationsPerSeed, operations - done),
                    Engine = SimulatedEngines.Drawn(engine),
                };
                result = AbandonableWork.Run(() => ModelWorkload.Run(options), stop);
            }
            catch (OperationCanceledException)
            {
                // What has been done is told.
                break;
            }
            catch (WorkloadFailedException e)
            {
                if (shown)
                    Console.Error.WriteLine();
                Console.Error.WriteLine("kvasir: " + e.Message);
                Console.Error.WriteLine(e.InnerException);
                return ExitCode.Negative;
            }

            seeds++;
            done += result.Operations;
            fingerprint = (fingerprint * 31) + result.Fingerprint;
            coverage.Add(result.Coverage);
            if (shown)
            {
                Console.Error.Write(string.Create(
                    CultureInfo.InvariantCulture, $"\r{done:N0}/{operations:N0} operations, {seeds} seeds, {watch.Elapsed.TotalSeconds:F0} s "));
            }
        }

        if (shown)
            Console.Error.WriteLine();
        if (json)
            WriteJson(seed, seeds, done, fingerprint, coverage, watch.Elapsed);
        else
            WriteText(seed, seeds, done, fingerprint, coverage, watch.Elapsed);
        if (done < operations)
            stop.ThrowIfCancellationRequested();
        return ExitCode.Success;
    }

    private static void WriteText(ulong seed, long seeds, long done, ulong fingerprint, DiskWorkloadCoverage coverage, TimeSpan time)
    {
        foreach ((string what, long count) in coverage.Counts)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count,14:N0}  {what}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{done} operations over {seeds} seeds from {seed} on, engine and store agree with the model; {time.TotalSeconds:F0} s; fingerprint {fingerprint:x16}"));
    }

    private static void WriteJson(ulong seed, long seeds, long done, ulong fingerprint, DiskWorkloadCoverage coverage, TimeSpan time) =>
        Console.WriteLine(JsonSerializer.Serialize(new
        {
            operations = done,
            seeds,
            firstSeed = seed,
            coverage = coverage.Counts,
            fingerprint = fingerprint.ToString("x16", CultureInfo.InvariantCulture),
            seconds = time.TotalSeconds,
        }));
}
