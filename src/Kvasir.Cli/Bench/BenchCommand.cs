using System.CommandLine;
using Kvasir.Cli.Bench.Clusters;
using Kvasir.Cli.Bench.Engines;
using Kvasir.Cli.Bench.Servers;

namespace Kvasir.Cli.Bench;

/// <summary><c>kvasir bench</c>: the load generators.</summary>
internal static class BenchCommand
{
    public static Command Create() => new("bench", "Measure the engine, a server, a cluster, or the checker of histories.")
    {
        EngineBenchCommand.Create(),
        ServerBenchCommand.Create(),
        ClusterBenchCommand.Create(),
        CheckerBenchCommand.Create(),
    };
}
