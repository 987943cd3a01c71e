using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Runs;

/// <summary>Corners a failure: the same seed with fewer faults and less time, as long as something fails.</summary>
public static class FailureShortening
{
    private const int LinesKept = 40;

    /// <summary>The shortest run found that fails, how it fails, and the last lines of what happened in it.</summary>
    public static (SimulationOptions<TFaults> Options, WorkloadFailedException Failure, IReadOnlyCollection<string> Lines) Shorten<TFaults>(
        SimulationOptions<TFaults> options, WorkloadFailedException failure)
        where TFaults : struct, Enum
    {
        foreach (TFaults kind in FaultNames.Kinds<TFaults>())
        {
            if (options.Faults.HasFlag(kind))
                Try(options with { Faults = FaultNames.Without(options.Faults, kind) });
        }

        while (options.Time > TimeSpan.FromSeconds(1) && Try(options with { Time = options.Time / 2 }))
        {
        }

        var lines = new Queue<string>();
        Fails(options with
        {
            Trace = line =>
            {
                if (lines.Count == LinesKept)
                    lines.Dequeue();
                lines.Enqueue(line);
            },
        });
        return (options, failure, lines);

        bool Try(SimulationOptions<TFaults> shorter)
        {
            if (Fails(shorter) is not { } shorterFailure)
                return false;
            (options, failure) = (shorter, shorterFailure);
            return true;
        }
    }

    private static WorkloadFailedException? Fails<TFaults>(SimulationOptions<TFaults> options)
        where TFaults : struct, Enum
    {
        try
        {
            options.Run();
            return null;
        }
        catch (WorkloadFailedException e)
        {
            return e;
        }
    }
}
