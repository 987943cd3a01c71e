using System.CommandLine;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.DataFiles;
using Kvasir.Simulation.Clusters;
using Kvasir.Simulation.Nodes;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary><c>kvasir simulate</c>: the real code on imagined hardware that fails by a seed.</summary>
internal static class SimulateCommand
{
    public static Command Create() => new("simulate", "Runs the real code on imagined hardware that fails by a seed.")
    {
        CreateDisk(), CreateModel(), CreateDamage(), CreateRaft(), CreateCluster(),
    };

    private static Command CreateDisk()
    {
        var flags = new SeedFlags<DiskWorkloadFaults>("What goes wrong beside crashes");
        Option<int> steps = CommandFlag.Number("--steps", "N", "Transactions and other steps of a run.", fallback: 120);
        Option<string> engine = SimulatedEngines.Flag();
        Option<int> crashEvery = CommandFlag.Number("--crash-every", "N", "Crash before one in N disk operations on average; 1 for all.", fallback: 1);
        Command disk = flags.AddTo(
            new Command("disk", "Crashes a node at every disk operation, recovers it, and compares it with what was promised."), engine, steps, crashEvery);
        disk.SetAction((result, stop) => Task.FromResult(DiskSimulation.Run(
            new DiskWorkloadOptions
            {
                Seed = flags.Seed(result),
                Engine = SimulatedEngines.Tiny(result.GetValue(engine)!),
                Steps = result.GetValue(steps),
                CrashEvery = result.GetValue(crashEvery),
                Faults = flags.Faults(result),
                Verify = static (files, folder) => new FolderCheck(files, static (_, _) => { }).Run(folder),
            },
            flags.Count(result), flags.Jobs(result), flags.Json(result), stop)));
        return disk;
    }

    private static Command CreateRaft()
    {
        Option<int> members = CommandFlag.Number("--members", "N", "Members that the group begins with.", fallback: 5, max: 9);
        return CreateTimed<RaftFaults>(
            "raft", "A Raft group on a network, disks and clocks that fail; every promise is watched and what clients saw is judged.", members,
            static (seed, count, _) => new RaftSimulationOptions { Seed = seed, Members = count });
    }

    private static Command CreateCluster()
    {
        Option<int> nodes = CommandFlag.Number("--nodes", "N", "Nodes of the cluster.", fallback: 3, max: 9);
        Option<bool> banks = CommandFlag.Switch("--banks", "Clients also move money between accounts of one shard, several keys in one transaction.");
        return CreateTimed<ClusterFaults>(
            "cluster", "Whole nodes on networks, disks and clocks that fail; what clients saw is judged, and replicas are compared.", nodes,
            (seed, count, result) => new ClusterSimulationOptions
            {
                Seed = seed,
                Nodes = count,
                HasBanks = result.GetValue(banks),
                Engine = SimulatedEngines.Tiny("lsm"),
                OtherEngines = [SimulatedEngines.Tiny("log"), SimulatedEngines.Tiny("btree")],
            },
            banks);
    }

    private static Command CreateTimed<TFaults>(
        string name, string description, Option<int> population, Func<ulong, int, ParseResult, SimulationOptions<TFaults>> options, params Option[] more)
        where TFaults : struct, Enum
    {
        var flags = new SeedFlags<TFaults>();
        Option<double> minutes = CommandFlag.Decimal("--minutes", "N", "Of the simulated clock, in each run.", fallback: 1, min: 0.001, max: 10_000);
        Option<bool> trace = CommandFlag.Switch("--trace", "Print all that happens; for one seed.");
        Option<string?> history = CommandFlag.Text("--history", "FILE", "Write what the clients of the last seed saw: .edn for Jepsen's notation, else JSON lines.");
        Command command = flags.AddTo(new Command(name, description), [population, minutes, trace, .. more, history]);
        command.SetAction((result, stop) => Task.FromResult(new TimedSimulation<TFaults>(
            options(flags.Seed(result), result.GetValue(population), result) with
            {
                Time = TimeSpan.FromMinutes(result.GetValue(minutes)),
                Faults = flags.Faults(result),
                Trace = result.GetValue(trace) ? Console.WriteLine : null,
            },
            flags.Count(result))
            .Run(result.GetValue(trace) ? 1 : flags.Jobs(result), result.GetValue(history), flags.Json(result), stop)));
        return command;
    }

    private static Command CreateDamage()
    {
        Argument<string> folder = CommandFlag.Path<string>("DIR", "The data folder of a server that does not run. It is copied into memory, and not changed.");
        Option<int> flips = CommandFlag.Number("--flips", "N", "Bytes of each file to damage, one by one, spread over the file.", fallback: 40);
        Option<long> seed = CommandFlag.Count("--seed", "S", "Which bytes and bits.", fallback: 1, min: 0);
        Option<bool> json = CommandFlag.Json();
        Command damage = new("damage", "Flips one bit at a time in a copy of a data folder: it must be refused, named by verify, or harmless.")
        {
            folder, flips, seed, json,
        };
        damage.SetAction((result, stop) => Task.FromResult(DamageSimulation.Run(
            Path.GetFullPath(result.GetValue(folder)!), result.GetValue(flips), (ulong)result.GetValue(seed), result.GetValue(json), stop)));
        return damage;
    }

    private static Command CreateModel()
    {
        Option<string> engine = SimulatedEngines.Flag();
        Option<long> operations = CommandFlag.Count("--operations", "N", "Mutations, reads, steps of iterators, one by one.", fallback: 1_000_000);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed; each is used for 100,000 operations.", fallback: 1, min: 0);
        Option<bool> json = CommandFlag.Json();
        Command model = new("model", "Random operations on engine, embedded store and a sorted map, through crashes; all must agree.")
        {
            engine, operations, seed, json,
        };
        model.SetAction((result, stop) => Task.FromResult(ModelSimulation.Run(
            result.GetValue(engine)!, result.GetValue(operations), (ulong)result.GetValue(seed), result.GetValue(json), stop)));
        return model;
    }
}
