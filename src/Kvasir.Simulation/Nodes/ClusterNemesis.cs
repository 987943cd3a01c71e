using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Nodes;

/// <summary>The hand that breaks things: each kind of fault by its own dice, so that many are there at once.</summary>
internal sealed class ClusterNemesis
{
    private static readonly CrashKind[] s_crashes =
        [CrashKind.ProcessKill, CrashKind.LoseUnsynced, CrashKind.LoseSubset, CrashKind.TearSectors, CrashKind.TearBytes];

    private readonly ClusterWorld _world;
    private readonly ClusterOperator _operator;
    private readonly TimeSpan _end;

    public ClusterNemesis(ClusterWorld world, ClusterOperator upkeep, SeededRandom dice, ClusterFaults faults, TimeSpan end)
    {
        _world = world;
        _operator = upkeep;
        _end = end;
        foreach (ClusterFaults kind in FaultNames.Kinds<ClusterFaults>())
        {
            // Drawn for all of them, whichever are wanted.
            SeededRandom random = dice.Fork();
            bool isDrawn = random.Next(10) < 6;
            double meanSeconds = 2 + (random.NextDouble() * 10);
            if (isDrawn && faults.HasFlag(kind))
                Await(kind, random, meanSeconds);
        }
    }

    private List<NodeMachine> Machines => _world.Machines;

    private void Await(ClusterFaults kind, SeededRandom random, double meanSeconds) =>
        _world.Events.After(TimeSpan.FromSeconds(-Math.Log(1 - random.NextDouble()) * meanSeconds), () =>
        {
            if (_world.Events.Now >= _end)
                return;
            TimeSpan time = TimeSpan.FromSeconds(0.05 + (random.NextDouble() * random.NextDouble() * 8));
            _world.Trace.Add((ulong)kind ^ ((ulong)_world.Events.Now.Ticks << 14));
            _world.Coverage.Add($"faults: {kind}");
            if (_world.IsTold)
                _world.Tell($"fault {kind} for {time.TotalMilliseconds:F0} ms");
            Strike(kind, random, time);
            Await(kind, random, meanSeconds);
        });

    private void Strike(ClusterFaults kind, SeededRandom random, TimeSpan time)
    {
        switch (kind)
        {
            case ClusterFaults.Loss:
                _world.Network.Behaviour = _world.Network.Behaviour with { Loss = random.OneIn(2) ? 0 : random.NextDouble() * 0.3 };
                break;
            case ClusterFaults.Duplication:
                _world.Network.Behaviour = _world.Network.Behaviour with { Duplication = random.OneIn(2) ? 0 : random.NextDouble() * 0.3 };
                break;
            case ClusterFaults.Reordering:
                bool reorders = random.OneIn(2);
                _world.Network.Behaviour = _world.Network.Behaviour with
                {
                    Reorders = reorders,
                    LatencyMean = TimeSpan.FromMilliseconds(reorders ? random.NextDouble() * 30 : 1),
                };
                break;
            case ClusterFaults.Partitions:
                Cut(random, time, oneWay: false);
                break;
            case ClusterFaults.OneWay:
                Cut(random, time, oneWay: true);
                break;
            case ClusterFaults.Slow:
                Slow(random, time);
                break;
            case ClusterFaults.Crashes:
                Crash(random, time);
                break;
            case ClusterFaults.Stalls:
                foreach (NodeMachine machine in Some(random))
                    machine.StallDisk(time);
                break;
            case ClusterFaults.Clocks:
                Turn(random);
                break;
            case ClusterFaults.Pauses:
                foreach (NodeMachine machine in Some(random))
                    Pause(machine, time);
                break;
            case ClusterFaults.Transfers:
                Transfer(random);
                break;
            case ClusterFaults.Snapshots:
                // Nodes that start from now on keep short journals; and one is away for a while.
                _world.JournalBytesMax = 64 << 10 << random.Next(4);
                Bounce(Machines[random.Next(Machines.Count)], CrashKind.ProcessKill, time * 3, isClean: random.OneIn(2));
                break;
            case ClusterFaults.Full:
                Spoil(random, time, DiskFault.Full);
                break;
            case ClusterFaults.Errors:
                Spoil(random, time, DiskFault.Failed);
                break;
            case ClusterFaults.Membership:
                _operator.Begin(random);
                break;
            case ClusterFaults.Rot:
                _operator.LetRot(random);
                break;
            case ClusterFaults.Conversions:
                Convert(random, time / 4);
                break;
        }
    }

    private void Cut(SeededRandom random, TimeSpan time, bool oneWay)
    {
        int side = 0;
        for (int i = 0; i < Machines.Count; i++)
            side |= random.OneIn(2) ? 1 << i : 0;
        if (random.OneIn(2))
            side = 1 << random.Next(Machines.Count);
        bool outward = random.OneIn(2);
        List<(NodeMachine From, NodeMachine To)> cut = [];
        for (int a = 0; a < Machines.Count; a++)
        {
            for (int b = 0; b < Machines.Count; b++)
            {
                bool aIn = (side & (1 << a)) != 0, bIn = (side & (1 << b)) != 0;
                if (aIn != bIn && (!oneWay || aIn == outward))
                    cut.Add((Machines[a], Machines[b]));
            }
        }

        foreach ((NodeMachine from, NodeMachine to) in cut)
            _world.Network.Cut(from.Id, to.Id);
        _world.Events.After(time, () =>
        {
            // Whoever is there by now.
            foreach ((NodeMachine from, NodeMachine to) in cut)
                _world.Network.Mend(from.Id, to.Id);
        });
    }

    private void Slow(SeededRandom random, TimeSpan time)
    {
        NodeMachine from = Machines[random.Next(Machines.Count)], to = Machines[random.Next(Machines.Count)];
        if (from == to)
            return;
        _world.Network.Slow(from.Id, to.Id, 5 + (random.NextDouble() * 200));
        _world.Events.After(time, () => _world.Network.Slow(from.Id, to.Id, 1));
    }

    private void Crash(SeededRandom random, TimeSpan time)
    {
        CrashKind kind = s_crashes[random.Next(s_crashes.Length)];
        bool isClean = random.OneIn(8);
        foreach (NodeMachine machine in Some(random))
            Bounce(machine, kind, time * (0.5 + random.NextDouble()), isClean);
    }

    private void Bounce(NodeMachine machine, CrashKind kind, TimeSpan time, bool isClean)
    {
        if (machine.IsDown)
            return;
        if (isClean && !machine.Link.IsPaused)
        {
            machine.Stop(() => _world.Events.After(time, machine.Start));
            return;
        }

        machine.Crash(kind);
        _world.Events.After(time, machine.Start);
    }

    private void Pause(NodeMachine machine, TimeSpan time)
    {
        if (machine.IsDown || machine.Link.IsPaused)
            return;
        machine.Link.Pause();
        _world.Events.After(time, () =>
        {
            if (!machine.IsDown && machine.Link.IsPaused)
                machine.Link.Resume();
        });
    }

    /// <summary>Over time a clock may be anywhere within the bound; its reading never jumps, its wall clock does.</summary>
    private void Turn(SeededRandom random)
    {
        double bound = _world.Settings.ClockDriftMax * 0.99;

        // The worst for leases: one's time crawls and everybody else's flies.
        bool againstOne = random.OneIn(2);
        int one = random.Next(Machines.Count);
        foreach (NodeMachine machine in againstOne ? Machines : Some(random))
        {
            bool isFast = random.OneIn(2);
            machine.Clock.Drift((againstOne ? machine != Machines[one] : isFast) ? 1 + bound : 1 - bound);
            machine.Clock.SetWall(TimeSpan.FromSeconds((random.NextDouble() - 0.5) * 100_000));
        }
    }

    private void Transfer(SeededRandom random)
    {
        string keyspace = $"db{random.Next(ClusterClient.Databases)}";
        int shard = random.Next(2);
        NodeId to = Machines[random.Next(Machines.Count)].Id;
        NodeMachine asked = Machines[random.Next(Machines.Count)];
        if (asked.Process is not { Node: { } node } process)
            return;
        process.Happen(() => ((IClusterAdministration)node).TransferLeader(
            keyspace, shard, to, error => _world.Coverage.Add(error is null ? "leaders handed over" : "leaders not handed over")));
    }

    /// <summary>A database begins to move, and some moves are aborted a little later, by whomever is asked.</summary>
    private void Convert(SeededRandom random, TimeSpan later)
    {
        string keyspace = $"db{random.Next(ClusterClient.Databases)}";
        string engine = _world.Engines[random.Next(_world.Engines.Count)];
        Ask(random.Next(Machines.Count), "conversions begun", (a, done) => a.ConvertKeyspace(keyspace, engine, done));
        int other = random.Next(Machines.Count);
        if (random.OneIn(3))
            _world.Events.After(later, () => Ask(other, "conversions aborted", (a, done) => a.AbortConversion(keyspace, done)));
    }

    private void Ask(int machine, string what, Action<IClusterAdministration, Action<string?>> question)
    {
        // There may be fewer by now.
        if (Machines[machine % Machines.Count].Process is not { Node: { Host: not null } node } process)
            return;
        process.Happen(() => question(node, error => _world.Coverage.Add(error is null ? what : what + ": refused")));
    }

    private void Spoil(SeededRandom random, TimeSpan time, DiskFault fault)
    {
        NodeMachine machine = Machines[random.Next(Machines.Count)];
        DiskOperationKind? kind = random.Next(4) switch
        {
            0 => fault == DiskFault.Full ? DiskOperationKind.Allocate : DiskOperationKind.Sync,
            1 => DiskOperationKind.Create,
            _ => DiskOperationKind.Write,
        };
        string? path = random.Next(3) switch { 0 => "/data/journal", 1 => "/data/replicas", _ => null };
        var rule = new FaultRule(fault, kind, path) { Skip = random.Next(20), Times = random.OneIn(2) ? 1 : int.MaxValue };
        machine.Disk.Faults.Add(rule);
        _world.Events.After(time, () => machine.Disk.Faults.Remove(rule));
    }

    /// <summary>One, mostly; now and then several, or all.</summary>
    private List<NodeMachine> Some(SeededRandom random)
    {
        int one = random.Next(Machines.Count);
        return random.Next(8) switch
        {
            0 => [.. Machines],
            1 or 2 => [.. Machines.Where(_ => random.OneIn(2))],
            _ => [Machines[one]],
        };
    }
}
