using System.CommandLine;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.DataFiles;
using Kvasir.Simulation.Clusters;
using Kvasir.Simulation.Nodes;
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
        Option<string?> faults = CommandFlag.Text(
            "--faults", "LIST", $"What goes wrong beside crashes: all, none, or of {string.Join(", ", DiskWorkloadFaultNames.All)}; -NAME leaves one out.", fallback: "all");
        Option<int> jobs = CommandFlag.Number("--jobs", "N", "Seeds that run at once.", fallback: 1, max: 256);
        Option<bool> json = CommandFlag.Json();
        Command disk = new("disk", "Crashes a node at every disk operation, recovers it, and compares it with what was promised.")
        {
            seeds, seed, steps, crashEvery, faults, jobs, json,
        };
        disk.SetAction((result, stop) => Task.FromResult(DiskSimulation.Run(
            new DiskWorkloadOptions
            {
                Seed = (ulong)result.GetValue(seed),
                Engine = new LsmEngineFactory(LsmOptions.Tiny),
                Steps = result.GetValue(steps),
                CrashEvery = result.GetValue(crashEvery),
                Faults = DiskWorkloadFaultNames.Parse(result.GetValue(faults)!)
                    ?? throw new UsageException($"--faults wants all, none, or of {string.Join(", ", DiskWorkloadFaultNames.All)}, not '{result.GetValue(faults)}'"),
                Verify = static (files, folder) => new FolderCheck(files, static (_, _) => { }).Run(folder),
            },
            result.GetResult(seed) is { Implicit: false } && result.GetResult(seeds) is not { Implicit: false } ? 1 : result.GetValue(seeds),
            result.GetValue(jobs), result.GetValue(json), stop)));
        return new Command("simulate", "Runs the real code on imagined hardware that fails by a seed.") { disk, CreateModel(), CreateDamage(), CreateRaft(), CreateCluster() };
    }

    private static Command CreateRaft()
    {
        Option<long> seeds = CommandFlag.Count("--seeds", "N", "Runs, with consecutive seeds.", fallback: 20);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed; with --seeds 1 or alone, the only one.", fallback: 1, min: 0);
        Option<int> members = CommandFlag.Number("--members", "N", "Members that the group begins with.", fallback: 5, max: 9);
        Option<double> minutes = CommandFlag.Decimal("--minutes", "N", "Of the group's time, in each run.", fallback: 1, min: 0.001, max: 10_000);
        Option<string?> faults = CommandFlag.Text(
            "--faults", "LIST", $"What goes wrong: all, none, or of {string.Join(", ", RaftFaultNames.All)}; -NAME leaves one out.", fallback: "all");
        Option<int> jobs = CommandFlag.Number("--jobs", "N", "Seeds that run at once.", fallback: 1, max: 256);
        Option<bool> trace = CommandFlag.Switch("--trace", "Print all that happens; for one seed.");
        Option<string?> history = CommandFlag.Text("--history", "FILE", "Write what the clients of the last seed saw: .edn for Jepsen's notation, else JSON lines.");
        Option<bool> json = CommandFlag.Json();
        Command raft = new("raft", "A Raft group on a network, disks and clocks that fail; every promise is watched and what clients saw is judged.")
        {
            seeds, seed, members, minutes, faults, jobs, trace, history, json,
        };
        raft.SetAction((result, stop) => Task.FromResult(RaftGroupSimulation.Run(
            new RaftSimulationOptions
            {
                Seed = (ulong)result.GetValue(seed),
                Members = result.GetValue(members),
                Time = TimeSpan.FromMinutes(result.GetValue(minutes)),
                Faults = RaftFaultNames.Parse(result.GetValue(faults)!)
                    ?? throw new UsageException($"--faults wants all, none, or of {string.Join(", ", RaftFaultNames.All)}, not '{result.GetValue(faults)}'"),
                Trace = result.GetValue(trace) ? Console.WriteLine : null,
            },
            result.GetResult(seed) is { Implicit: false } && result.GetResult(seeds) is not { Implicit: false } ? 1 : result.GetValue(seeds),
            result.GetValue(trace) ? 1 : result.GetValue(jobs), result.GetValue(history), result.GetValue(json), stop)));
        return raft;
    }

    private static Command CreateCluster()
    {
        Option<long> seeds = CommandFlag.Count("--seeds", "N", "Runs, with consecutive seeds.", fallback: 20);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed; with --seeds 1 or alone, the only one.", fallback: 1, min: 0);
        Option<int> nodes = CommandFlag.Number("--nodes", "N", "Nodes of the cluster.", fallback: 3, max: 9);
        Option<double> minutes = CommandFlag.Decimal("--minutes", "N", "Of the cluster's time, in each run.", fallback: 1, min: 0.001, max: 10_000);
        Option<string?> faults = CommandFlag.Text(
            "--faults", "LIST", $"What goes wrong: all, none, or of {string.Join(", ", ClusterFaultNames.All)}; -NAME leaves one out.", fallback: "all");
        Option<int> jobs = CommandFlag.Number("--jobs", "N", "Seeds that run at once.", fallback: 1, max: 256);
        Option<bool> trace = CommandFlag.Switch("--trace", "Print all that happens; for one seed.");
        Option<string?> history = CommandFlag.Text("--history", "FILE", "Write what the clients of the last seed saw: .edn for Jepsen's notation, else JSON lines.");
        Option<bool> json = CommandFlag.Json();
        Command cluster = new("cluster", "Whole nodes on networks, disks and clocks that fail; what clients saw is judged, and replicas are compared.")
        {
            seeds, seed, nodes, minutes, faults, jobs, trace, history, json,
        };
        cluster.SetAction((result, stop) => Task.FromResult(ClusterNodesSimulation.Run(
            new ClusterSimulationOptions
            {
                Seed = (ulong)result.GetValue(seed),
                Engine = new LsmEngineFactory(LsmOptions.Tiny),
                Nodes = result.GetValue(nodes),
                Time = TimeSpan.FromMinutes(result.GetValue(minutes)),
                Faults = ClusterFaultNames.Parse(result.GetValue(faults)!)
                    ?? throw new UsageException($"--faults wants all, none, or of {string.Join(", ", ClusterFaultNames.All)}, not '{result.GetValue(faults)}'"),
                Trace = result.GetValue(trace) ? Console.WriteLine : null,
            },
            result.GetResult(seed) is { Implicit: false } && result.GetResult(seeds) is not { Implicit: false } ? 1 : result.GetValue(seeds),
            result.GetValue(trace) ? 1 : result.GetValue(jobs), result.GetValue(history), result.GetValue(json), stop)));
        return cluster;
    }

    private static Command CreateDamage()
    {
        var folder = new Argument<string>("DIR") { Description = "The data folder of a server that does not run. It is copied into memory, and not changed." };
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
        Option<long> operations = CommandFlag.Count("--operations", "N", "Mutations, reads, steps of iterators, one by one.", fallback: 1_000_000);
        Option<long> seed = CommandFlag.Count("--seed", "S", "The first seed; each is used for 100,000 operations.", fallback: 1, min: 0);
        Option<bool> json = CommandFlag.Json();
        Command model = new("model", "Random operations on engine, embedded store and a sorted map, through crashes; all must agree.")
        {
            operations, seed, json,
        };
        model.SetAction((result, stop) => Task.FromResult(ModelSimulation.Run(
            result.GetValue(operations), (ulong)result.GetValue(seed), result.GetValue(json), stop)));
        return model;
    }
}
