using System.Globalization;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Runs;

/// <summary>How something that clients use is simulated for a while, in a world that fails by a seed.</summary>
/// <typeparam name="TFaults">What can go wrong in it; flags.</typeparam>
public abstract record SimulationOptions<TFaults>
    where TFaults : struct, Enum
{
    public required ulong Seed { get; init; }

    /// <summary>Of the simulated clock, before everything heals.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What may go wrong; of these each seed draws some.</summary>
    public TFaults Faults { get; init; } = FaultNames.Every<TFaults>();

    public int Clients { get; init; } = 6;

    /// <summary>Is told what happens, line by line; costs much.</summary>
    public Action<string>? Trace { get; init; }

    /// <summary>What runs beside each other in it, as its flag says it (<c>nodes</c>), and how many.</summary>
    public abstract (string Name, int Count) Population { get; }

    /// <summary>The command line that runs exactly this seed again.</summary>
    public string ReplayCommand
    {
        get
        {
            string faults = FaultNames.Format(Faults);
            return string.Create(
                CultureInfo.InvariantCulture,
                $"./kvasir simulate {Subject} --seed {Seed} --{Population.Name} {Population.Count} --minutes {Time.TotalMinutes:0.####}")
                + (faults == "all" ? "" : $" --faults {faults}") + More;
        }
    }

    /// <summary>What <c>kvasir simulate</c> calls it.</summary>
    protected abstract string Subject { get; }

    /// <summary>Further flags of its own, each behind a space.</summary>
    protected virtual string More => "";

    /// <summary>Runs the seed; throws <see cref="WorkloadFailedException"/> when a promise is broken.</summary>
    public abstract SimulationResult Run();
}
