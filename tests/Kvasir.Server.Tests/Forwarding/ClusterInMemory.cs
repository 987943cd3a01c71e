using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>Servers in one process, a network between them that the test moves, and shards whose leaders the test chooses.</summary>
internal sealed class ClusterInMemory
{
    public const int Databases = 2;
    public const int Shards = 4;
    public const int FirstGroup = 2;

    private readonly GroupId[][] _shards;
    private readonly LinkedList<(NodeId From, NodeId To, MessageBuffer Message)> _network = new();
    private readonly HashSet<(NodeId, NodeId)> _cut = [];
    private readonly Dictionary<(NodeId, GroupId), NodeId> _beliefs = [];

    public ClusterInMemory(int nodes = 2)
    {
        SeededRandom random = new(1);
        Scheduler = new SimulatedScheduler(random, new SimulatedClock(DateTimeOffset.UnixEpoch.AddYears(50)));
        SimulatedFileSystem disk = new(random.Fork());
        EngineEnvironment environment = new(disk, Scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        disk.CreateFolder("/groups");
        for (int i = 0; i < Databases * Shards; i++)
        {
            Groups.Add(new GroupInMemory(
                new GroupId((uint)(FirstGroup + i)), i / Shards, ModelEngine.Open("/groups/" + i, environment))
                { Leader = new NodeId((ulong)(i % nodes) + 1) });
        }

        _shards = [.. Groups.Chunk(Shards).Select(c => c.Select(g => g.Id).ToArray())];
        for (ulong i = 1; i <= (ulong)nodes; i++)
            Nodes.Add(new NodeOfCluster(this, new NodeId(i)));
    }

    public SimulatedScheduler Scheduler { get; }

    public List<GroupInMemory> Groups { get; } = [];

    public List<NodeOfCluster> Nodes { get; } = [];

    public ulong Version { get; private set; } = 1;

    /// <summary>True loses a message.</summary>
    public Func<bool> Loses { get; set; } = static () => false;

    /// <summary>True makes a message arrive twice.</summary>
    public Func<bool> Doubles { get; set; } = static () => false;

    /// <summary>So many messages and a peer takes no more.</summary>
    public int RoomMax { get; set; } = int.MaxValue;

    /// <summary>The last message that arrived, or was lost, arrives once more.</summary>
    public Action Arrive { get; private set; } = static () => { };

    public int MessagesUnderWay => _network.Count;

    public NodeOfCluster this[int node] => Nodes[node - 1];

    public ReadOnlySpan<GroupId> ShardsOf(int database) => _shards[database];

    /// <summary>The shard of the first database that a key is in.</summary>
    public GroupInMemory GroupOf(string key) => Groups[Slot.OfKey(System.Text.Encoding.Latin1.GetBytes(key)).Shard(Shards)];

    /// <summary>A key whose shard a node leads.</summary>
    public string KeyLedBy(int node, int number = 0)
    {
        for (int i = 0; ; i++)
        {
            if (GroupOf("key" + i).Leader == new NodeId((ulong)node) && number-- == 0)
                return "key" + i;
        }
    }

    public void Lead(GroupInMemory group, int node)
    {
        group.Leader = new NodeId((ulong)node);
        group.Term++;
        Version++;
    }

    /// <summary>The lead ends; what was not committed is gone, and nobody will ever know.</summary>
    public void Depose(GroupInMemory group)
    {
        NodeId before = group.Leader;
        LogPosition durable = group.Depose();
        Version++;
        Lost(group, before, durable, LogLoss.LeadershipLost);
        Lost(group, before, durable, LogLoss.Unresolved);
    }

    /// <summary>The lead ends; what becomes of what was not committed is still to come.</summary>
    public void Doubt(GroupInMemory group)
    {
        NodeId before = group.Leader;
        group.Doubt();
        Version++;
        Lost(group, before, group.DurablePosition, LogLoss.LeadershipLost);
    }

    /// <summary>What was in doubt is committed after all, as a node hears that does not lead.</summary>
    public void Confirm(GroupInMemory group, int node)
    {
        Assert.True(group.TryCommit());
        NodeOfCluster heard = Nodes.Single(n => n.Self == new NodeId((ulong)node));
        heard.Committed(group);
    }

    /// <summary>Something else was committed in its place, as a node hears that does not lead.</summary>
    public void Overrule(GroupInMemory group, int node)
    {
        LogPosition safe = group.DurablePosition;
        group.Depose();
        Lost(group, new NodeId((ulong)node), safe, LogLoss.Overruled);
    }

    private void Lost(GroupInMemory group, NodeId by, LogPosition durable, LogLoss loss) =>
        Nodes.Single(n => n.Self == by).Lost(group, durable, loss);

    /// <summary>A node takes another for the leader of a group, whatever happens.</summary>
    public void Believes(int node, GroupInMemory group, int leader) => _beliefs[(new NodeId((ulong)node), group.Id)] = new NodeId((ulong)leader);

    public NodeId LeaderAsSeenBy(NodeId node, GroupInMemory group) => _beliefs.GetValueOrDefault((node, group.Id), group.Leader);

    public void Cut(int a, int b)
    {
        NodeId first = new((ulong)a);
        NodeId second = new((ulong)b);
        _cut.Add((first, second));
        _cut.Add((second, first));
        for (LinkedListNode<(NodeId From, NodeId To, MessageBuffer Message)>? at = _network.First; at is not null;)
        {
            LinkedListNode<(NodeId From, NodeId To, MessageBuffer Message)>? next = at.Next;
            if (_cut.Contains((at.Value.From, at.Value.To)))
                _network.Remove(at);
            at = next;
        }

        this[a].Exchange.Disconnected(second);
        this[b].Exchange.Disconnected(first);
    }

    public void Join(int a, int b)
    {
        NodeId first = new((ulong)a);
        NodeId second = new((ulong)b);
        _cut.Remove((first, second));
        _cut.Remove((second, first));
        this[a].Exchange.Connected(second);
        this[b].Exchange.Connected(first);
    }

    public SendOutcome Send(NodeId from, NodeId to, MessageBuffer message)
    {
        if (_cut.Contains((from, to)))
            return SendOutcome.Unreachable;
        if (_network.Count(m => m.From == from && m.To == to) >= RoomMax)
            return SendOutcome.Full;
        _network.AddLast((from, to, message));
        return SendOutcome.Queued;
    }

    /// <summary>Delivers what is on its way until nothing is.</summary>
    public void Pump()
    {
        Flush();
        while (Step())
        {
        }
    }

    /// <summary>Delivers one message; false when none is on its way.</summary>
    public bool Step()
    {
        if (_network.First is not { } first)
            return false;
        _network.RemoveFirst();
        (NodeId from, NodeId to, MessageBuffer message) = first.Value;
        NodeOfCluster node = Nodes.Single(n => n.Self == to);
        byte[] copy = message.Bytes.ToArray();
        Arrive = () =>
        {
            node.Exchange.Received(from, copy);
            node.Exchange.Settled();
        };
        if (!Loses())
        {
            node.Exchange.Received(from, message.Bytes);
            if (Doubles())
                node.Exchange.Received(from, message.Bytes);
            node.Exchange.Settled();
        }

        if (RoomMax != int.MaxValue)
            Nodes.Single(n => n.Self == from).Exchange.Writable(to);
        Flush();
        return true;
    }

    /// <summary>As an event loop does at the end of each turn.</summary>
    public void Flush()
    {
        foreach (NodeOfCluster node in Nodes)
        {
            if (node.Exchange.HasUnsent)
                node.Exchange.Flush();
            node.Commit();
        }
    }

    /// <summary>Time goes by in small steps, and messages with it.</summary>
    public void Advance(int milliseconds)
    {
        for (int i = 0; i < milliseconds; i += 5)
        {
            Pump();
            Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(5));
        }

        Pump();
    }
}
