using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Histories;

/// <summary><c>kvasir check FILE...</c>: can one copy of the data have given these answers?</summary>
internal static class CheckCommand
{
    private const int KeysShown = 20;

    public static Command Create()
    {
        Argument<string[]> files = CommandFlag.Path<string[]>(
            "FILE", "Histories, each judged by itself: Jepsen's notation (EDN) or JSON lines, told apart by what is in them; - for standard input.");
        files.Arity = ArgumentArity.OneOrMore;
        Option<string> model = CommandFlag.OneOf(
            "--model", "What a key is; auto takes it from its operations. monotonic asks only whether processes read backwards in time.",
            "auto", "auto", "register", "list", "counter", "bank", "monotonic");
        Option<int> seconds = CommandFlag.Number("--time-limit", "SECONDS", "Give up on a history after this long and say so.", fallback: 60);
        Option<bool> json = CommandFlag.Json();
        Command command = new("check", "Check histories of clients for linearizability, key by key. Exit code 1 when one cannot be, or is not decided.")
        {
            files, model, seconds, json,
        };
        command.SetAction((result, stop) => Task.FromResult(Run(
            result.GetValue(files)!, result.GetValue(model)!, TimeSpan.FromSeconds(result.GetValue(seconds)), result.GetValue(json), stop)));
        return command;
    }

    private static int Run(string[] files, string model, TimeSpan limit, bool json, CancellationToken stop)
    {
        bool isValid = true;
        foreach (string file in files)
        {
            List<HistoryEvent> events = AbandonableWork.Run(() => Read(file), stop);
            var watch = Stopwatch.StartNew();
            CheckLimits limits = new() { StepsMax = long.MaxValue, Time = limit, Clock = TimeProvider.System };
            CheckReport report = AbandonableWork.Run(() => Judge(file, events, model, limits), stop);
            isValid &= report.Verdict == Verdict.Valid;
            if (json)
                WriteJson(file, events.Count, report, watch.Elapsed);
            else
                WriteText(file, events.Count, report, watch.Elapsed);
        }

        return isValid ? ExitCode.Success : ExitCode.Negative;
    }

    private static List<HistoryEvent> Read(string file)
    {
        try
        {
            using TextReader reader = file == "-" ? Console.In : new StreamReader(file);
            return HistoryFiles.Read(reader);
        }
        catch (HistoryFormatException e)
        {
            throw new UsageException($"{file}: {e.Message}", e);
        }
    }

    private static CheckReport Judge(string file, List<HistoryEvent> events, string model, CheckLimits limits)
    {
        try
        {
            if (model == "monotonic")
                return MonotonicReadChecker.Check(events);
            Dictionary<string, string> kinds = events.GroupBy(e => e.Key, StringComparer.Ordinal)
                .ToDictionary(g => g.Key, g => model == "auto" ? KindOf(g) : model, StringComparer.Ordinal);
            CheckReport banks = BankChecker.Check([.. events.Where(e => kinds[e.Key] == "bank")]);
            CheckReport others = LinearizabilityChecker.Check(
                [.. events.Where(e => kinds[e.Key] != "bank")], key => kinds[key] == "counter" ? KeyModel.Counter() : KeyModel.Plain(), limits);
            return new CheckReport([.. banks.Keys.Concat(others.Keys).OrderBy(k => k.Key, StringComparer.Ordinal)]);
        }
        catch (HistoryFormatException e)
        {
            throw new UsageException($"{file}: {e.Message}", e);
        }
    }

    private static string KindOf(IEnumerable<HistoryEvent> events)
    {
        HashSet<OperationKind> operations = [.. events.Select(e => e.Operation)];
        if (operations.Contains(OperationKind.Transfer))
            return "bank";
        return operations.Contains(OperationKind.Increment) && operations.IsSubsetOf([OperationKind.Read, OperationKind.Increment])
            ? "counter"
            : "register";
    }

    private static void WriteText(string file, int events, CheckReport report, TimeSpan time)
    {
        KeyVerdict[] shown = [.. report.Keys.Where(k => report.Keys.Count <= KeysShown || k.Verdict != Verdict.Valid)];
        foreach (KeyVerdict key in shown)
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Word(key.Verdict),-8} {key.Operations,9:N0} operations, {key.Uncertain:N0} in doubt  {key.Key}{(key.Bound is { } bound ? $"  (gave up: {bound})" : "")}"));
        }

        if (report.Verdict == Verdict.Invalid)
            Console.WriteLine(report.Explain());
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{file}: {Word(report.Verdict)}; {events:N0} events, {report.Keys.Count:N0} keys, {time.TotalSeconds:F2} s"));
    }

    private static void WriteJson(string file, int events, CheckReport report, TimeSpan time) =>
        Console.WriteLine(JsonSerializer.Serialize(new
        {
            file,
            verdict = Word(report.Verdict),
            events,
            seconds = time.TotalSeconds,
            keys = report.Keys.Select(k => new
            {
                key = k.Key,
                verdict = Word(k.Verdict),
                operations = k.Operations,
                inDoubt = k.Uncertain,
                steps = k.Steps,
                bound = k.Bound,
                explanation = k.Explanation,
            }),
        }));

    private static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Valid => "valid",
        Verdict.Invalid => "INVALID",
        _ => "unknown",
    };
}
