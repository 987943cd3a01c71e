using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Whole cluster nodes on simulated disks, one clock and one network, on the thread of the test.</summary>
internal sealed class ClusterWorld
{
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(1);

    /// <summary>A value of which a few hundred fill a log.</summary>
    public static readonly string Large = new('x', 2000);

    public ClusterWorld(ulong seed, IEngineFactory? engines = null, long journalBytesMax = 512 << 20)
    {
        Random = new SeededRandom(seed);
        Clock = new SimulatedClock(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        Events = new EventQueue(Clock);
        Network = new SimulatedNetwork(Events, Random.Fork(), new TraceHash());
        Engines = engines ?? new ModelEngineFactory { Name = "lsm" };
        JournalBytesMax = journalBytesMax;
    }

    public SeededRandom Random { get; }

    public SimulatedClock Clock { get; }

    public EventQueue Events { get; }

    public SimulatedNetwork Network { get; }

    public IEngineFactory Engines { get; }

    /// <summary>That keyspaces may choose, too.</summary>
    public IReadOnlyList<IEngineFactory> OtherEngines { get; init; } = [];

    public IReadOnlyList<string> DatabaseEngines { get; init; } = [];

    public long JournalBytesMax { get; }

    /// <summary>Of nodes that start from now on, like those below.</summary>
    public UpkeepSettings Upkeep { get; set; } = new();

    public long SnapshotBytesPerSecond { get; set; } = 64 << 20;

    public long SnapshotInsteadBytes { get; set; } = 4 << 20;

    public long OldBytesPerTurn { get; set; } = 512 << 10;

    public long RoomBytes { get; set; }

    public List<ClusterMember> Members { get; } = [];

    /// <summary>Another node: the first founds a cluster, others ask the first that is there; nodes get their numbers in this order.</summary>
    /// <param name="at">Where it says that it is; null for where it is.</param>
    public ClusterMember Add(PeerAddress? at = null)
    {
        var member = new ClusterMember(this, new NodeId((ulong)Members.Count + 1)) { Stated = at };
        Members.Add(member);
        member.Start();
        RunUntil(() => member.Node.Self == member.Id, $"node {member.Id} has its number");
        return member;
    }

    public static ClusterWorld OfThree(ulong seed, IEngineFactory? engines = null, long journalBytesMax = 512 << 20)
    {
        var world = new ClusterWorld(seed, engines, journalBytesMax);
        world.MakeThree();
        return world;
    }

    public void MakeThree()
    {
        for (int i = 0; i < 3; i++)
            Add();
        RunUntil(IsWhole, "every shard has three voters");
    }

    /// <summary>Every shard that the directory knows has its voters where it wants them, on three nodes.</summary>
    public bool IsWhole() =>
        Members[0].Node.View.Groups is { Length: > 1 } groups
        && groups.All(g => g.IsSettled && g.Replicas.Length == Math.Min(3, Members.Count))
        && Members.TrueForAll(m => m.IsDown || m.Node.View.Groups.SequenceEqual(groups));

    /// <summary>All replicas have applied all there is.</summary>
    public bool IsLevel() => Members[0].Node.View.Groups.All(g => Members.TrueForAll(m =>
        m.Node.Host!.TryFind(g.Id, out RaftGroup? group) && group.AppliedIndex == group.LastIndex
        && Members.TrueForAll(o => o.Node.Host!.TryFind(g.Id, out RaftGroup? theirs) && theirs.LastIndex == group.LastIndex)));

    public void Run(TimeSpan time)
    {
        TimeSpan end = Events.Now + time;
        while (Events.Now < end)
        {
            Events.RunUntil(Events.Now + s_step);
            foreach (ClusterMember member in Members)
                member.Work();
        }
    }

    public void RunUntil(Func<bool> condition, string what, int seconds = 60)
    {
        TimeSpan end = Events.Now + TimeSpan.FromSeconds(seconds);
        while (!condition())
        {
            Assert.True(Events.Now < end, $"seed {Random.Seed}: after {seconds} s it is not so that {what}");
            Run(s_step);
        }
    }

    /// <summary>Writes by whoever leads the key's shard, and waits until it is acknowledged; tries again when it is lost.</summary>
    public void Put(int database, string key, string value, int seconds = 60)
    {
        (ClusterMember Member, Gate Gate)? under = null;
        RunUntil(
            () =>
            {
                if (under is { } now)
                {
                    if (now.Member.IsDown || now.Member.Losses.Contains(now.Gate))
                        under = null;
                    else
                        return now.Gate.IsOpen || now.Gate.Log!.DurablePosition >= now.Gate.Position;
                }

                foreach (ClusterMember member in Members.Where(m => !m.IsDown))
                {
                    if (member.TryPut(database, key, value) is { } gate)
                    {
                        under = (member, gate);
                        break;
                    }
                }

                return false;
            },
            $"{key} is written", seconds);
    }

    /// <summary>What the leader of the key's shard answers; waits for one.</summary>
    public string? Get(int database, string key)
    {
        string? value = null;
        RunUntil(() => Members.Exists(m => !m.IsDown && m.TryGet(database, key, out value)), $"{key} is read");
        return value;
    }

    /// <summary>Writes keys 0 to <paramref name="keys"/> to database 0, until who is away cannot be brought up from the first two nodes' logs any more.</summary>
    public void WriteUntilTheLogIsCut(int keys = 400)
    {
        for (int i = 0; i < keys; i++)
            Put(0, $"key{i}", Large + i);
        KeyspaceId database = Members[0].Node.View.KeyspaceByName("db0")!.Record.Id;
        RunUntil(
            () =>
            {
                Put(0, "more", Large);
                return Members[0].Node.View.Groups.Where(g => g.Keyspace == database)
                    .All(g => Members[..2].TrueForAll(m => m.Node.Host!.TryFind(g.Id, out RaftGroup? group) && group.BaseIndex > new LogIndex(50)));
            },
            "the log is cut");
    }

    /// <summary>What the second node says to this; null when it is done.</summary>
    public string? Ask(Action<IClusterAdministration, Action<string?>> question)
    {
        string? answer = "none";
        ClusterMember asked = Members[1];
        asked.Do(_ => question(asked.Node, error => answer = error));
        RunUntil(() => answer != "none", "there is an answer");
        return answer;
    }

    /// <summary>All machines at once; they start again.</summary>
    public void LosePower()
    {
        foreach (ClusterMember member in Members)
            member.Crash(CrashKind.LoseUnsynced);
        foreach (ClusterMember member in Members)
            member.Restart();
    }

    /// <summary>All nodes have the same in every shard, whatever order their engines keep.</summary>
    public void AssertSameContent()
    {
        foreach (GroupRecord group in Members[0].Node.View.Groups)
            Assert.All(Members, m => Assert.Equal(Members[0].SortedContent(group.Id), m.SortedContent(group.Id)));
        Assert.All(Members, m => Assert.DoesNotContain(m.Node.Host!.Groups, g => g.IsOut));
    }
}

internal sealed class ClusterMember : ITransportListener, ILogListener, IPeerLink, ITransport
{
    private readonly ClusterWorld _world;
    private readonly SeededRandom _random;
    private readonly List<Gate> _gates = [];
    private SimulatedScheduler _scheduler;
    private ITransportListener? _listener;
    private SortedSet<NodeId> _told = [];

    public ClusterMember(ClusterWorld world, NodeId id)
    {
        _world = world;
        _random = world.Random.Fork();
        Id = id;
        Disk = new SimulatedFileSystem(_random.Fork());
        _scheduler = new SimulatedScheduler(_random.Fork(), world.Clock);
        Link = world.Network.Join(id, this);
    }

    public NodeId Id { get; }

    public SimulatedFileSystem Disk { get; private set; }

    public SimulatedTransport Link { get; }

    /// <summary>Where it says that it is, if elsewhere than it is.</summary>
    public PeerAddress? Stated { get; init; }

    /// <summary>Where it was ever told that others are.</summary>
    public List<PeerAddress> Heard { get; } = [];

    /// <summary>It told who the others are while somebody else could have been in its mailbox.</summary>
    public bool ToldOutsideOfItsMailbox { get; private set; }

    /// <summary>Where it asked something, outside of its links.</summary>
    public List<PeerAddress> Asked { get; } = [];

    public ClusterNode Node { get; private set; } = null!;

    public bool IsDown => Link.IsDown;

    /// <summary>Nothing goes to the disk in the background while it says so.</summary>
    public Func<bool>? Holds { get; set; }

    /// <summary>Of what it sends, such messages never leave.</summary>
    public Func<byte[], bool>? Loses { get; set; }

    public List<Gate> Losses { get; } = [];

    /// <summary>Of all that it said, warnings too.</summary>
    public List<string> Announced { get; } = [];

    public List<string> Warned { get; } = [];

    ITransport IPeerLink.Transport => this;

    public void Start()
    {
        _scheduler = new SimulatedScheduler(_random.Fork(), _world.Clock);
        var options = new ClusterNodeOptions
        {
            Folder = "/data",
            PeerAddress = (Stated ?? Link.Address).ToString(),
            RespAddress = $"resp-{Id}:1",
            Seeds = Id.Value == 1 ? [] : [_world.Members.Find(m => m != this && !m.IsDown)?.Link.Address ?? _world.Members[0].Link.Address],
            Engine = _world.Engines.Name,
            DatabaseEngines = _world.DatabaseEngines,
            DatabaseCount = 2,
            ShardsPerDatabase = 2,
            MemoryBytes = MemoryBudget.MinimumBytes,
            JournalBytesMax = _world.JournalBytesMax,
            SnapshotBytesPerSecond = _world.SnapshotBytesPerSecond,
            SnapshotInsteadBytes = _world.SnapshotInsteadBytes,
            OldBytesPerTurn = _world.OldBytesPerTurn,
            Upkeep = _world.Upkeep,
            RoomBytes = _world.RoomBytes,
            Journal = new JournalOptions { FirstSegmentBytes = 64 << 10, SegmentBytes = 256 << 10 },
        };
        Node = ClusterNode.Open(options, new NodeEnvironment(Disk, _scheduler, [_world.Engines, .. _world.OtherEngines], _random.NextUInt64()), this, this);
        Node.Warner = text =>
        {
            Warned.Add(text);
            Announced.Add(text);
        };
        Node.Announcer = Announced.Add;
    }

    public void Crash(CrashKind kind)
    {
        Link.Crash();
        Node.Host?.Dispose();
        _listener = null;
        Disk = Disk.AfterCrash(_random.Fork(), kind);
        _gates.Clear();
        _told.Clear();
    }

    public void Restart()
    {
        Link.Restart();
        Start();
    }

    /// <summary>What was flushed of this group is in files, and nothing else was.</summary>
    public void Flush(GroupId group)
    {
        Do(_ => Group(group).Replica.Engine.Flush());
        _world.RunUntil(() => Group(group).Replica.Engine.OldestUnflushedPosition is null, "it is in files");
    }

    public void Stop()
    {
        Node.Dispose();
        _scheduler.RunAll();
        Link.Crash();
    }

    public void Work()
    {
        while (!IsDown && Holds?.Invoke() != true && _random.OneIn(2) && _scheduler.RunOne())
        {
        }
    }

    public void Do(Action<Execution> action) => Node.Mailbox.Post(new ActionItem(action));

    /// <summary>The write was made in this life of the process.</summary>
    public bool Knows(Gate gate) => gate.IsOpen || _gates.Contains(gate);

    public Route Route(int database, string key) =>
        ((IClusteredNode)Node).Router.Route(database, Slot.OfKey(Encoding.UTF8.GetBytes(key)).Value);

    /// <summary>Null when this node does not lead the shard.</summary>
    public Gate? TryPut(int database, string key, string value)
    {
        Gate? gate = null;
        Do(execution =>
        {
            if (Route(database, key) is not { Kind: RouteKind.Local, Replica: { } replica } || replica.Log.Refusal is not null)
                return;
            execution.Put(replica, Encoding.UTF8.GetBytes(key), [], Encoding.UTF8.GetBytes(value), 0);
            execution.Commit();
            gate = execution.TakeGate();
            _gates.Add(gate.Value);
        });
        return gate;
    }

    public bool TryGet(int database, string key, out string? value)
    {
        string? read = null;
        bool isRead = false;
        Do(execution =>
        {
            if (Route(database, key) is not { Kind: RouteKind.Local, Replica: { } replica })
                return;
            BytesBuffer bytes = new();
            if (execution.Get(replica, Encoding.UTF8.GetBytes(key), bytes).Found)
                read = Encoding.UTF8.GetString(bytes.WrittenSpan);
            isRead = execution.TakeGate().IsOpen;
        });
        value = read;
        return isRead;
    }

    /// <summary>What this node's replica has, if it follows and is no older than the bound.</summary>
    public bool TryGetStale(GroupId shard, string key, TimeSpan ageMax, out string? value, out TimeSpan age)
    {
        string? read = null;
        TimeSpan at = default;
        bool isRead = false;
        Do(execution =>
        {
            if (((IClusteredNode)Node).Router.StaleReplica(shard, ageMax, out at) is not { } replica)
                return;
            BytesBuffer bytes = new();
            if (execution.Get(replica, Encoding.UTF8.GetBytes(key), bytes).Found)
                read = Encoding.UTF8.GetString(bytes.WrittenSpan);
            isRead = execution.TakeGate().IsOpen;
        });
        (value, age) = (read, at);
        return isRead;
    }

    public RaftGroup Group(GroupId id)
    {
        Assert.True(Node.Host!.TryFind(id, out RaftGroup? group));
        return group;
    }

    /// <summary>Everything of the first database, where this node leads.</summary>
    public void DeleteAll() => Do(execution =>
    {
        foreach (Replica replica in Node.ReplicasOf(0))
        {
            if (replica.Log.Refusal is not null)
                continue;
            execution.DeleteRange(replica, [], []);
            execution.Commit();
            execution.TakeGate();
        }
    });

    public string Content(GroupId group)
    {
        Assert.True(Node.Host!.TryFind(group, out RaftGroup? found));
        var content = new StringBuilder();
        using EngineScan iterator = found.Replica.Engine.CreateScan(default);
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            content.Append(Encoding.UTF8.GetString(iterator.Key)).Append('=').Append(Encoding.UTF8.GetString(iterator.Value)).Append(';');
        return content.ToString();
    }

    /// <summary>Engines have orders of their own.</summary>
    public string SortedContent(GroupId group) => string.Join(';', Content(group).Split(';').Order(StringComparer.Ordinal));

    NodeId ITransport.Self => Link.Self;

    int ITransport.MessageBytesMax => Link.MessageBytesMax;

    /// <summary>It was told of this peer since its start.</summary>
    public bool Knows(NodeId peer) => _told.Contains(peer);

    SendOutcome ITransport.Send(NodeId to, MessageBuffer message) => Link.Send(to, message);

    SendOutcome ITransport.Send(NodeId to, ReadOnlySpan<byte> message, bool more) =>
        Loses?.Invoke(message.ToArray()) == true ? SendOutcome.Queued : Link.Send(to, message, more);

    void ITransport.Flush() => Link.Flush();

    void ITransport.SetPeers(IReadOnlyList<PeerAddress> peers)
    {
        ToldOutsideOfItsMailbox |= _listener is ClusterNode { Mailbox.IsBusy: false };
        _told = [.. peers.Select(p => p.Node)];
        Heard.AddRange(peers);
        Link.SetPeers(peers);
    }

    void ITransport.Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done)
    {
        Asked.Add(to with { Node = NodeId.None });
        Link.Call(to, request, patience, done);
    }

    void ITransport.Answer(CallTicket call, ReadOnlySpan<byte> reply) => Link.Answer(call, reply);

    void IPeerLink.Start(ITransportListener listener) => _listener = listener;

    void IPeerLink.Identify(ulong cluster, NodeId self) => Assert.Equal(Id, self);

    void ILogListener.Durable(IReplicaLog log, LogPosition position)
    {
    }

    void ILogListener.Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason) =>
        Losses.AddRange(_gates.Where(g => ReferenceEquals(g.Log, log) && g.Position > durable));

    void ITransportListener.Received(NodeId from, ReadOnlySpan<byte> message) => _listener?.Received(from, message);

    void ITransportListener.Connected(NodeId peer) => _listener?.Connected(peer);

    void ITransportListener.Disconnected(NodeId peer) => _listener?.Disconnected(peer);

    void ITransportListener.Settled() => _listener?.Settled();

    void ITransportListener.Writable(NodeId peer) => _listener?.Writable(peer);

    void ITransportListener.Called(CallTicket call, ReadOnlySpan<byte> request) => _listener?.Called(call, request);
}
