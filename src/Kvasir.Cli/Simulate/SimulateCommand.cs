using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cli.Simulate;

/// <summary><c>kvasir simulate</c>: the real code on imagined hardware that fails by a seed.</summary>
internal static class SimulateCommand
{
    public static Command Create()
    {
        Option<long> seeds = CommandFlag.Count("--seeds", "N", "Runs, with consecutive seeds.", fallback: 20);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed; with --seeds 1 or alone, the only one.", fallback: 1, min: 0);
        Option<int> steps = CommandFlag.Number("--steps", "N", "Transactions and other steps of a run.", fallback: 120);
        Option<int> crashEvery = CommandFlag.Number("--crash-every", "N", "Crash before one in N disk operations on average; 1 for all.", fallback: 1);
        Option<bool> json = CommandFlag.Json();
        Command disk = new("disk", "Crashes a node at every disk operation, recovers it, and compares it with what was promised.")
        {
            seeds, seed, steps, crashEvery, json,
        };
        disk.SetAction((result, stop) => Task.FromResult(RunDisk(
            (ulong)result.GetValue(seed),
            result.GetResult(seed) is { Implicit: false } && result.GetResult(seeds) is not { Implicit: false } ? 1 : result.GetValue(seeds),
            result.GetValue(steps), result.GetValue(crashEvery), result.GetValue(json), stop)));
        return new Command("simulate", "Runs the real code on imagined hardware that fails by a seed.") { disk };
    }

    private static int RunDisk(ulong first, long count, int steps, int crashEvery, bool json, CancellationToken stop)
    {
        Stopwatch watch = Stopwatch.StartNew();
        long done = 0, crashPoints = 0, operations = 0, transactions = 0, failures = 0;
        ulong fingerprint = 0;
        for (; done < count && !stop.IsCancellationRequested; done++)
        {
            DiskWorkloadResult result;
            try
            {
                result = DiskWorkload.Run(new DiskWorkloadOptions
                {
                    Seed = first + (ulong)done,
                    Engine = new LsmEngineFactory(LsmOptions.Tiny),
                    Steps = steps,
                    CrashEvery = crashEvery,
                });
            }
            catch (WorkloadFailedException e)
            {
                Console.Error.WriteLine();
                Console.Error.WriteLine("kvasir: " + e.Message);
                if (e.InnerException is { } cause)
                    Console.Error.WriteLine(cause);
                return ExitCode.Negative;
            }

            crashPoints += result.CrashPoints;
            operations += result.Operations;
            transactions += result.Transactions;
            failures += result.Failures;
            fingerprint = (fingerprint * 31) + result.Fingerprint;
            if (!Console.IsErrorRedirected)
                Console.Error.Write($"\r{done + 1}/{count} seeds, {crashPoints} crash points ");
        }

        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                seeds = done,
                firstSeed = first,
                crashPoints,
                operations,
                transactions,
                failures,
                fingerprint = fingerprint.ToString("x16", System.Globalization.CultureInfo.InvariantCulture),
                seconds = watch.Elapsed.TotalSeconds,
            }));
        }
        else
        {
            Console.WriteLine($"{done} seeds, {transactions} transactions, {crashPoints} crash points recovered and checked, {failures} times a bad disk, "
                + $"no promise broken; {watch.Elapsed.TotalSeconds:F0} s; fingerprint {fingerprint:x16}");
        }

        return ExitCode.Success;
    }
}
