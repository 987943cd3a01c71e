using System.CommandLine;
using Kvasir.Cli.CommandLine;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>The flags that every simulation by seeds has: which seeds, what goes wrong, how many at once, and how it reports.</summary>
/// <typeparam name="TFaults">What can go wrong.</typeparam>
internal sealed class SeedFlags<TFaults>
    where TFaults : struct, Enum
{
    private readonly Option<long> _seeds = CommandFlag.Count("--seeds", "N", "Runs, with consecutive seeds.", fallback: 20);
    private readonly Option<long> _seed = CommandFlag.Count("--seed", "S", "The first seed; with --seeds 1 or alone, the only one.", fallback: 1, min: 0);
    private readonly Option<int> _jobs = CommandFlag.Number("--jobs", "N", "Seeds that run at once.", fallback: 1, max: 256);
    private readonly Option<bool> _json = CommandFlag.Json();
    private readonly Option<string?> _faults;

    /// <summary><paramref name="wrong"/> begins the help of <c>--faults</c>.</summary>
    public SeedFlags(string wrong = "What goes wrong") => _faults = CommandFlag.Text(
        "--faults", "LIST", $"{wrong}: all, none, or of {FaultNames.List<TFaults>()}; -NAME leaves one out.", fallback: "all");

    /// <summary>Gives them to <paramref name="command"/>, around those that are its own.</summary>
    public Command AddTo(Command command, params ReadOnlySpan<Option> own)
    {
        command.Options.Add(_seeds);
        command.Options.Add(_seed);
        foreach (Option option in own)
            command.Options.Add(option);
        command.Options.Add(_faults);
        command.Options.Add(_jobs);
        command.Options.Add(_json);
        return command;
    }

    public ulong Seed(ParseResult result) => (ulong)result.GetValue(_seed);

    /// <summary>How many seeds: one, where only the first was named.</summary>
    public long Count(ParseResult result) =>
        result.GetResult(_seed) is { Implicit: false } && result.GetResult(_seeds) is not { Implicit: false } ? 1 : result.GetValue(_seeds);

    public TFaults Faults(ParseResult result) =>
        FaultNames.Parse<TFaults>(result.GetValue(_faults)!)
        ?? throw new UsageException($"--faults wants all, none, or of {FaultNames.List<TFaults>()}, not '{result.GetValue(_faults)}'");

    public int Jobs(ParseResult result) => result.GetValue(_jobs);

    public bool Json(ParseResult result) => result.GetValue(_json);
}
