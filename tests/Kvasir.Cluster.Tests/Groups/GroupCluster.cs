using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>
/// Nodes with real Raft groups, journals and replicas on simulated disks, one clock and one network: everything happens on the
/// thread of the test, by the seed.
/// </summary>
internal sealed class GroupCluster
{
    private static readonly TimeSpan s_step = TimeSpan.FromMicroseconds(500);

    public GroupCluster(
        ulong seed, int nodes, int groups, IEngineFactory? engines = null, RaftSettings? settings = null, long oldBytesPerTurn = 512 << 10)
    {
        Random = new SeededRandom(seed);
        Clock = new SimulatedClock(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        Events = new EventQueue(Clock);
        Network = new SimulatedNetwork(Events, Random.Fork(), new TraceHash());
        Engines = engines ?? new Simulation.Models.ModelEngineFactory();
        Options = new GroupHostOptions
        {
            Raft = settings ?? new RaftSettings { QuiesceAfter = TimeSpan.MaxValue },
            OldBytesPerTurn = oldBytesPerTurn,
        };
        GroupIds = [.. Enumerable.Range(1, groups).Select(i => new GroupId((uint)i))];
        Founders = new Configuration([.. Enumerable.Range(1, nodes).Select(i => new MemberId((ulong)i))]);
        for (int i = 1; i <= nodes; i++)
            Nodes.Add(new GroupNode(this, new NodeId((ulong)i)));
        foreach (GroupNode node in Nodes)
            node.Start();
    }

    public SeededRandom Random { get; }

    public SimulatedClock Clock { get; }

    public EventQueue Events { get; }

    public SimulatedNetwork Network { get; }

    public IEngineFactory Engines { get; }

    public GroupHostOptions Options { get; }

    public IReadOnlyList<GroupId> GroupIds { get; }

    public Configuration Founders { get; }

    public List<GroupNode> Nodes { get; } = [];

    public List<TestWrite> Writes { get; } = [];

    public GroupNode Node(NodeId id) => Nodes.Single(n => n.Id == id);

    /// <summary>Lets time pass; disks answer when their jobs are run, now and then.</summary>
    public void Run(TimeSpan time)
    {
        TimeSpan end = Events.Now + time;
        while (Events.Now < end)
        {
            Events.RunUntil(Events.Now + s_step);
            foreach (GroupNode node in Nodes)
                node.Work();
        }
    }

    public void RunUntil(Func<bool> condition, string what)
    {
        TimeSpan end = Events.Now + TimeSpan.FromSeconds(60);
        while (!condition())
        {
            Assert.True(Events.Now < end, $"seed {Random.Seed}: after a minute it is not so that {what}");
            Run(s_step);
        }
    }

    /// <summary>The node that leads the group and serves it, with the newest term; waited for.</summary>
    public GroupNode Leader(GroupId group, Func<GroupNode, bool>? among = null)
    {
        RunUntil(
            () =>
            {
                foreach (GroupNode sleeper in Nodes.Where(n => !n.IsDown && n.Group(group) is { IsServing: true, IsQuiet: true }))
                    sleeper.Do(_ => sleeper.Group(group).Rouse());
                return Find() is not null;
            },
            $"group {group} has a leader");
        return Find()!;

        GroupNode? Find() => Nodes.Where(n => !n.IsDown && (among?.Invoke(n) ?? true) && n.Group(group).HasLease)
            .MaxBy(n => n.Group(group).Term);
    }

    /// <summary>A write with a key of its own, given to the leader.</summary>
    public TestWrite Write(GroupId group, int bytes = 20) => Leader(group).Write(group, bytes);

    public void Cut(GroupNode node)
    {
        foreach (GroupNode other in Nodes.Where(n => n != node))
        {
            Network.Cut(node.Id, other.Id);
            Network.Cut(other.Id, node.Id);
        }
    }

    /// <summary>Everybody is up and everything is everywhere.</summary>
    public void Settle()
    {
        Network.MendAll();
        foreach (GroupNode node in Nodes.Where(n => n.IsDown))
            node.Restart();
        foreach (GroupId group in GroupIds)
        {
            Write(group);
            RunUntil(
                () => Nodes.TrueForAll(n => n.Group(group).AppliedIndex == Nodes.Max(m => m.Group(group).LastIndex)),
                $"all replicas of group {group} have applied everything");
        }
    }

    /// <summary>Replicas are equal, and what was acknowledged is in them.</summary>
    public void Verify()
    {
        foreach (GroupId group in GroupIds)
        {
            string[] contents = [.. Nodes.Select(n => n.Content(group))];
            Assert.All(contents, c => Assert.Equal(contents[0], c));
            foreach (TestWrite write in Writes.Where(w => w.Group == group && w.IsAcknowledged))
                Assert.Contains(write.ToString(), contents[0], StringComparison.Ordinal);
            foreach (TestWrite write in Writes.Where(w => w.Group == group && w.IsOverruled))
                Assert.DoesNotContain(write.ToString(), contents[0], StringComparison.Ordinal);
        }
    }
}

/// <summary>A write that a test made: a key that nobody else writes.</summary>
internal sealed class TestWrite(GroupId group, string key, string value, RaftGroup log, LogPosition position)
{
    public GroupId Group { get; } = group;

    public RaftGroup Log { get; } = log;

    public LogPosition Position { get; } = position;

    public bool IsAcknowledged { get; set; }

    /// <summary>Its leader leads no more; it may come to be all the same.</summary>
    public bool IsLost { get; set; }

    /// <summary>It will never be.</summary>
    public bool IsOverruled { get; set; }

    public bool IsUnresolved { get; set; }

    public bool IsOpen => !IsAcknowledged && !IsLost;

    public override string ToString() => $"{key}={value};";
}
