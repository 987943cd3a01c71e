using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Bench;

/// <summary><c>kvasir bench checker</c>: how long it takes to judge the history of one busy key.</summary>
internal static class CheckerBenchCommand
{
    public static Command Create()
    {
        Option<long> operations = CommandFlag.Count("--operations", "N", "Operations of a history.", fallback: 10_000);
        Option<int> clients = CommandFlag.Number("--clients", "N", "Clients at once.", fallback: 50);
        Option<int> unknown = CommandFlag.Number("--in-doubt", "N", "One operation in N has an unknown outcome; 0 for none.", fallback: 20, min: 0);
        Option<int> values = CommandFlag.Number("--values", "N", "Only so many values are written, again and again; 0 writes each once.", fallback: 0, min: 0);
        Option<int> rounds = CommandFlag.Number("--rounds", "N", "Histories, with consecutive seeds.", fallback: 10);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed.", fallback: 1, min: 0);
        Option<bool> json = CommandFlag.Json();
        Command command = new("checker", "Judge histories of one key of a simulated register: steps, milliseconds, verdicts.")
        {
            operations, clients, unknown, values, rounds, seed, json,
        };
        command.SetAction((result, stop) => Task.FromResult(Run(
            checked((int)result.GetValue(operations)), result.GetValue(clients), result.GetValue(unknown), result.GetValue(values),
            result.GetValue(rounds), (ulong)result.GetValue(seed), result.GetValue(json), stop)));
        return command;
    }

    private static int Run(int operations, int clients, int unknown, int values, int rounds, ulong seed, bool json, CancellationToken stop)
    {
        List<double> times = [];
        List<long> steps = [];
        int[] verdicts = new int[3];
        for (int i = 0; i < rounds; i++)
        {
            ulong round = seed + (ulong)i;
            (KeyVerdict verdict, TimeSpan time) = AbandonableWork.Run(() => Judge(round, operations, clients, unknown, values), stop);
            times.Add(time.TotalMilliseconds);
            steps.Add(verdict.Steps);
            verdicts[(int)verdict.Verdict]++;
        }

        times.Sort();
        steps.Sort();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                operations,
                clients,
                rounds,
                valid = verdicts[(int)Verdict.Valid],
                invalid = verdicts[(int)Verdict.Invalid],
                unknown = verdicts[(int)Verdict.Unknown],
                medianMs = times[times.Count / 2],
                maxMs = times[^1],
                medianSteps = steps[steps.Count / 2],
            }));
        }
        else
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{operations:N0} operations of {clients} clients, {rounds} times: median {times[times.Count / 2]:F1} ms, max {times[^1]:F1} ms, median {steps[steps.Count / 2]:N0} steps; "
                + $"{verdicts[(int)Verdict.Valid]} valid, {verdicts[(int)Verdict.Unknown]} unknown, {verdicts[(int)Verdict.Invalid]} invalid"));
        }

        // Each of them is valid by the way it was made.
        return verdicts[(int)Verdict.Invalid] == 0 ? ExitCode.Success : ExitCode.Negative;
    }

    private static (KeyVerdict Verdict, TimeSpan Time) Judge(ulong seed, int operations, int clients, int unknown, int values)
    {
        List<HistoryEvent> events = SimulatedRegister.Run(seed, operations, clients, unknown, values);
        long began = Stopwatch.GetTimestamp();
        KeyVerdict verdict = LinearizabilityChecker.Check(events, _ => KeyModel.Plain()).Keys[0];
        return (verdict, Stopwatch.GetElapsedTime(began));
    }
}
