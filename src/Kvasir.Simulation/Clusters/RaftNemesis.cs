using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Clusters;

/// <summary>The hand that breaks things: each kind of fault by its own dice, so that many are there at once.</summary>
internal sealed class RaftNemesis
{
    private readonly RaftWorld _world;
    private readonly TimeSpan _end;

    public RaftNemesis(RaftWorld world, SeededRandom dice, RaftFaults faults, TimeSpan end)
    {
        _world = world;
        _end = end;
        foreach (RaftFaults kind in FaultNames.Kinds<RaftFaults>())
        {
            // Drawn for all of them, whichever are wanted.
            SeededRandom random = dice.Fork();
            bool isDrawn = random.Next(10) < 7;
            double meanSeconds = 1 + (random.NextDouble() * 6);
            if (isDrawn && faults.HasFlag(kind))
                Await(kind, random, meanSeconds);
        }
    }

    private List<SimulatedRaftNode> Nodes => _world.Nodes;

    private void Await(RaftFaults kind, SeededRandom random, double meanSeconds) =>
        _world.Events.After(TimeSpan.FromSeconds(-Math.Log(1 - random.NextDouble()) * meanSeconds), () =>
        {
            if (_world.Events.Now >= _end)
                return;
            TimeSpan until = TimeSpan.FromSeconds(0.05 + (random.NextDouble() * random.NextDouble() * 5));
            _world.Trace.Add((ulong)kind ^ ((ulong)_world.Events.Now.Ticks << 13));
            _world.Coverage.Add($"faults: {kind}");
            Strike(kind, random, until);
            Await(kind, random, meanSeconds);
        });

    private void Strike(RaftFaults kind, SeededRandom random, TimeSpan time)
    {
        if (_world.IsTold)
            _world.Tell($"fault {kind} for {time.TotalMilliseconds:F0} ms");
        switch (kind)
        {
            case RaftFaults.Loss:
                _world.Network.Behaviour = _world.Network.Behaviour with { Loss = random.OneIn(2) ? 0 : random.NextDouble() * 0.3 };
                break;
            case RaftFaults.Duplication:
                _world.Network.Behaviour = _world.Network.Behaviour with { Duplication = random.OneIn(2) ? 0 : random.NextDouble() * 0.3 };
                break;
            case RaftFaults.Reordering:
                bool reorders = random.OneIn(2);
                _world.Network.Behaviour = _world.Network.Behaviour with
                {
                    Reorders = reorders,
                    LatencyMean = TimeSpan.FromMilliseconds(reorders ? random.NextDouble() * 30 : 1),
                };
                break;
            case RaftFaults.Partitions:
                Cut(random, time, oneWay: false);
                break;
            case RaftFaults.OneWay:
                Cut(random, time, oneWay: true);
                break;
            case RaftFaults.Slow:
                Slow(random, time);
                break;
            case RaftFaults.Crashes:
                Crash(random, time);
                break;
            case RaftFaults.Stalls:
                foreach (SimulatedRaftNode node in Some(random))
                    node.StallDisk(time);
                break;
            case RaftFaults.Clocks:
                Turn(random);
                break;
            case RaftFaults.Pauses:
                foreach (SimulatedRaftNode node in Some(random))
                    Pause(node, time);
                break;
            case RaftFaults.Members:
                ChangeMembers(random, time);
                break;
            case RaftFaults.Transfers:
                OnLeader((leader, now) => leader.Raft.TryTransferLeadership(now, Nodes[random.Next(Nodes.Count)].Id));
                break;
            case RaftFaults.Snapshots:
                _world.LogEntriesMax = 5 + random.Next(100);
                foreach (SimulatedRaftNode node in Some(random))
                    node.Happen(_ => node.Compact());
                break;
        }
    }

    private void Cut(SeededRandom random, TimeSpan time, bool oneWay)
    {
        // The leader alone, more often than chance would have it.
        int side = 0;
        for (int i = 0; i < Nodes.Count; i++)
            side |= random.OneIn(2) ? 1 << i : 0;
        if (random.OneIn(3))
            side = 1 << LeaderOr(random);
        Part(side, time, oneWay, outward: random.OneIn(2));
    }

    private void Part(int side, TimeSpan time, bool oneWay, bool outward)
    {
        List<(NodeId From, NodeId To)> cut = [];
        for (int a = 0; a < Nodes.Count; a++)
        {
            for (int b = 0; b < Nodes.Count; b++)
            {
                bool aIn = (side & (1 << a)) != 0, bIn = (side & (1 << b)) != 0;
                if (aIn != bIn && (!oneWay || aIn == outward))
                    cut.Add((new NodeId(Nodes[a].Id.Value), new NodeId(Nodes[b].Id.Value)));
            }
        }

        foreach ((NodeId from, NodeId to) in cut)
            _world.Network.Cut(from, to);
        _world.Events.After(time, () =>
        {
            foreach ((NodeId from, NodeId to) in cut)
                _world.Network.Mend(from, to);
        });
    }

    private void Slow(SeededRandom random, TimeSpan time)
    {
        var from = new NodeId(Nodes[random.Next(Nodes.Count)].Id.Value);
        var to = new NodeId(Nodes[random.Next(Nodes.Count)].Id.Value);
        if (from == to)
            return;
        _world.Network.Slow(from, to, 5 + (random.NextDouble() * 200));
        _world.Events.After(time, () => _world.Network.Slow(from, to, 1));
    }

    private void Crash(SeededRandom random, TimeSpan time)
    {
        foreach (SimulatedRaftNode node in Some(random))
        {
            if (node.IsDown)
                continue;
            node.Crash();
            _world.Events.After(time * (0.5 + random.NextDouble()), () =>
            {
                if (node.IsDown)
                    node.Restart();
            });
        }
    }

    private void Pause(SimulatedRaftNode node, TimeSpan time)
    {
        if (node.IsDown || node.Transport.IsPaused)
            return;
        node.Transport.Pause();
        _world.Events.After(time, () =>
        {
            if (!node.IsDown)
                node.Transport.Resume();
        });
    }

    /// <summary>Over time a clock may be anywhere within the bound; its reading never jumps, its wall clock does.</summary>
    private void Turn(SeededRandom random)
    {
        double bound = _world.Settings.ClockDriftMax * 0.99;

        // The worst for leases: the leader's time crawls and everybody else's flies.
        bool againstLeader = random.OneIn(2);
        int leader = LeaderOr(random);
        foreach (SimulatedRaftNode node in againstLeader ? Nodes : Some(random))
        {
            bool isFast = random.OneIn(2);
            double rate = (againstLeader ? node != Nodes[leader] : isFast) ? 1 + bound : 1 - bound;
            node.Happen(_ =>
            {
                node.Clock.Drift(rate);
                node.Clock.SetWall(TimeSpan.FromSeconds((random.NextDouble() - 0.5) * 100_000));
            });
        }
    }

    private void ChangeMembers(SeededRandom random, TimeSpan time)
    {
        // One after another at once: all but the first are too early. Now and then the leader is left with one other just
        // then, and would rather be a small group than none.
        ulong draws = random.NextUInt64();
        int proposals = 1 + random.Next(3);
        int leaderAt = LeaderOr(random), other = random.Next(Nodes.Count);
        bool apart = random.OneIn(3);
        if (apart)
            Part((1 << leaderAt) | (1 << other), time, oneWay: false, outward: true);
        OnLeader((leader, now) =>
        {
            var dice = new SeededRandom(draws);
            for (int i = 0; i < proposals; i++)
                Propose(leader, now, dice, n => apart ? n != leader && n != Nodes[other] && dice.OneIn(2) : dice.OneIn(4));
        });
    }

    private void Propose(SimulatedRaftNode leader, TimeSpan now, SeededRandom dice, Func<SimulatedRaftNode, bool> leaves)
    {
        List<MemberId> voters = [], learners = [];
        foreach (SimulatedRaftNode node in Nodes)
        {
            bool votes = leader.Raft.Configuration.IsVoter(node.Id);
            if (votes ? !leaves(node) : leader.Raft.Configuration.IsLearner(node.Id) && !dice.OneIn(3))
                voters.Add(node.Id);
            else if (!dice.OneIn(3))
                learners.Add(node.Id);
        }

        if (voters.Count == 0)
            return;
        ProposeOutcome outcome = leader.Raft.ProposeConfiguration(now, [.. voters], [.. learners]);
        _world.Coverage.Add(outcome.IsAccepted ? "configurations proposed" : "configurations refused");
    }

    private void OnLeader(Action<SimulatedRaftNode, TimeSpan> act)
    {
        foreach (SimulatedRaftNode node in Nodes)
        {
            if (!node.IsDown && node.Raft.Role == RaftRole.Leader)
                node.Happen(now => act(node, now));
        }
    }

    private int LeaderOr(SeededRandom random)
    {
        int drawn = random.Next(Nodes.Count);
        int leader = Nodes.FindIndex(n => !n.IsDown && n.Raft.Role == RaftRole.Leader);
        return leader < 0 ? drawn : leader;
    }

    /// <summary>One, mostly; the leader, often; now and then several, or all.</summary>
    private List<SimulatedRaftNode> Some(SeededRandom random)
    {
        int one = random.OneIn(2) ? LeaderOr(random) : random.Next(Nodes.Count);
        return random.Next(8) switch
        {
            0 => [.. Nodes],
            1 or 2 => [.. Nodes.Where(_ => random.OneIn(2))],
            _ => [Nodes[one]],
        };
    }
}
