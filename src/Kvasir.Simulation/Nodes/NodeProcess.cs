using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// One life of a node on a machine: what it does when it is over reaches nobody. Its clients are answered as sessions
/// answer theirs: when the gate of what they saw or wrote opens, or its log is lost.
/// </summary>
internal sealed class NodeProcess : IPeerLink, ITransport, ILogListener
{
    private readonly ProcessClock _clock;
    private readonly ProcessScheduler _scheduler;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly List<WaitingReply> _waiting = [];
    private readonly List<RequestItem> _unrouted = [];
    private NodeId _self;

    public NodeProcess(NodeMachine machine, SeededRandom random)
    {
        Machine = machine;
        _clock = new ProcessClock(this, machine.Clock);
        _scheduler = new ProcessScheduler(this, random.Fork(), _clock);
        Seed = random.NextUInt64();
    }

    public NodeMachine Machine { get; }

    public bool IsAlive => Machine.Process == this;

    public ClusterNode? Node { get; private set; }

    public ITransportListener? Listener { get; private set; }

    private ulong Seed { get; }

    ITransport IPeerLink.Transport => this;

    NodeId ITransport.Self => _self;

    int ITransport.MessageBytesMax => Machine.Link.MessageBytesMax;

    /// <summary>Throws what the node throws that cannot start.</summary>
    public void Start()
    {
        ClusterWorld world = Machine.World;
        var options = new ClusterNodeOptions
        {
            Folder = "/data",
            PeerAddress = Machine.Link.Address.ToString(),
            RespAddress = $"{Machine.Link.Address.Host}:2",
            Seeds = Machine.Seeds,
            Locality = Locality.TryParse(Machine.Zone, out Locality? zone, out _) ? zone : Locality.None,
            Engine = world.Options.Engine.Name,
            DatabaseEngines = world.DatabaseEngines,
            DatabaseCount = ClusterClient.Databases,
            ShardsPerDatabase = ClusterClient.ShardsPerDatabase,
            MemoryBytes = MemoryBudget.MinimumBytes,
            JournalBytesMax = world.JournalBytesMax,
            OldBytesPerTurn = 1 << 10,

            // Among nodes that start at the same time some rather send entries, others files.
            SnapshotInsteadBytes = 1L << (int)(9 + (Seed % 8)),
            SessionBytesMax = 1 << 10,
            // So little may wait for a write that those who append often have to commit.
            Journal = new JournalOptions { FirstSegmentBytes = 64 << 10, SegmentBytes = 256 << 10, PendingBytesMax = 8 << 10 },
            Raft = world.Settings,
            Upkeep = new UpkeepSettings { DeadAfter = world.DeadAfter },
        };
        Node = ClusterNode.Open(options, new NodeEnvironment(Machine.Disk, _scheduler, [world.Options.Engine, .. world.Options.OtherEngines], Seed), this, this);
        Node.Router.Watcher = Moved;
        Node.Announcer = line =>
        {
            if (world.IsTold)
                world.Tell($"node {Machine.Id} says: {line}");
        };
    }

    /// <summary>It is over: nothing that it still does happens.</summary>
    public void End()
    {
        _clock.End();
        _waiting.Clear();
        _unrouted.Clear();
    }

    /// <summary>Something happens to the process: now, when it goes on, or not at all when it is over.</summary>
    public void Happen(Action action) => Machine.Happen(this, action);

    /// <summary>By the process's own clock.</summary>
    public TimeSpan Now => _clock.GetElapsedTime(0);

    public void Ask(ClientRequest request, Action<ClientReply> reply) =>
        Node!.Mailbox.Post(new RequestItem(this, request, Now + s_patience, reply));

    /// <summary>The request runs again when its shard's route may be another.</summary>
    public void Await(RequestItem request) => _unrouted.Add(request);

    /// <summary>The answer leaves when the gate is open.</summary>
    public void Answer(Gate gate, ClientReply answer, Action<ClientReply> reply)
    {
        if (gate.IsOpen || gate.Log!.DurablePosition >= gate.Position)
            reply(answer);
        else
            _waiting.Add(new WaitingReply(gate, answer, reply));
    }

    void ILogListener.Durable(IReplicaLog log, LogPosition position)
    {
        for (int i = 0; i < _waiting.Count; i++)
        {
            WaitingReply waiting = _waiting[i];
            if (!ReferenceEquals(waiting.Gate.Log, log) || waiting.Gate.Position > position)
                continue;
            _waiting.RemoveAt(i--);
            waiting.Reply(waiting.Answer);
        }
    }

    void ILogListener.Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
    {
        for (int i = 0; i < _waiting.Count; i++)
        {
            WaitingReply waiting = _waiting[i];
            if (!ReferenceEquals(waiting.Gate.Log, log))
                continue;
            bool isLost = waiting.Gate.Position > durable;
            if (isLost)
                CountLoss(loss);

            // Every other one asks the next leader, as other nodes do for their clients; the rest wait for what the log says.
            if (isLost && loss == LogLoss.LeadershipLost && waiting.Gate.Position.Value % 2 == 0)
                continue;
            _waiting.RemoveAt(i--);
            waiting.Reply(!isLost ? waiting.Answer : loss is LogLoss.DiskFull or LogLoss.Overruled ? ClientReply.Refused(NodeId.None) : ClientReply.Lost);
        }
    }

    private void CountLoss(LogLoss loss)
    {
        switch (loss)
        {
            case LogLoss.LeadershipLost:
                Machine.World.Coverage.Add("answers lost with a lead");
                break;
            case LogLoss.Overruled:
                Machine.World.Coverage.Add("answers overruled by another lead");
                break;
            case LogLoss.Unresolved:
                Machine.World.Coverage.Add("answers in doubt for too long");
                break;
        }
    }

    private void Moved(GroupId group)
    {
        foreach (RequestItem request in _unrouted.Where(r => r.Group == group).ToArray())
        {
            _unrouted.Remove(request);
            Node!.Mailbox.Post(request);
        }
    }

    void IPeerLink.Start(ITransportListener listener) => Listener = listener;

    void IPeerLink.Identify(ulong cluster, NodeId self)
    {
        Machine.Link.Rename(self);
        _self = self;
    }

    SendOutcome ITransport.Send(NodeId to, MessageBuffer message)
    {
        if (IsAlive)
            return Machine.Link.Send(to, message);
        message.Dispose();
        return SendOutcome.Unreachable;
    }

    SendOutcome ITransport.Send(NodeId to, ReadOnlySpan<byte> message, bool more) =>
        IsAlive ? Machine.Link.Send(to, message, more) : SendOutcome.Unreachable;

    void ITransport.Flush()
    {
    }

    void ITransport.SetPeers(IReadOnlyList<PeerAddress> peers)
    {
        if (IsAlive)
            Machine.Link.SetPeers(peers);
    }

    void ITransport.Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done)
    {
        if (IsAlive)
            Machine.Link.Call(to, request, patience, reply => Happen(() => done(reply)));
    }

    void ITransport.Answer(CallTicket call, ReadOnlySpan<byte> reply)
    {
        if (IsAlive)
            Machine.Link.Answer(call, reply);
    }

    /// <summary>Closes what it had open, on a disk that is nobody's any more.</summary>
    public void Bury() => Node?.Dispose();

    private sealed record WaitingReply(Gate Gate, ClientReply Answer, Action<ClientReply> Reply);
}
