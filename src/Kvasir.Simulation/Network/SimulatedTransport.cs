using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Simulation.Network;

/// <summary>One node's end of the imagined network, and whether its process runs at all.</summary>
public sealed class SimulatedTransport : ITransport
{
    private readonly SimulatedNetwork _network;
    private readonly NodeId _place;
    private readonly Queue<Action> _waiting = new();

    internal SimulatedTransport(SimulatedNetwork network, NodeId self, ITransportListener listener, int index)
    {
        _network = network;
        _place = self;
        Self = self;
        Listener = listener;
        Index = index;
    }

    public NodeId Self { get; private set; }

    public int MessageBytesMax => int.MaxValue;

    /// <summary>Where others find it for a call; the same for whoever is there one after another.</summary>
    public PeerAddress Address => new(Self, $"node-{_place}", 1);

    public bool IsPaused { get; private set; }

    public bool IsDown { get; private set; }

    /// <summary>It has said nothing for so long that others take it for dead.</summary>
    internal bool IsSilent { get; set; }

    /// <summary>Nobody can be connected with it.</summary>
    internal bool IsGone => IsDown || IsSilent;

    internal int Pauses { get; private set; }

    internal ITransportListener Listener { get; }

    internal int Index { get; }

    /// <summary>Null: it was never told whom there is, and talks with everybody.</summary>
    internal SortedSet<NodeId>? Known { get; private set; }

    internal List<SimulatedNetwork.SimulatedLink> Links { get; } = [];

    /// <summary>Which life of the process this is: what was sent to an earlier one does not reach it.</summary>
    internal int Life { get; private set; }

    public SendOutcome Send(NodeId to, MessageBuffer message) => _network.Send(this, to, message);

    public SendOutcome Send(NodeId to, ReadOnlySpan<byte> message, bool more = false) => Send(to, MessageBuffer.Copy(message));

    /// <summary>Nothing is ever held back here.</summary>
    public void Flush()
    {
    }

    public void SetPeers(IReadOnlyList<PeerAddress> peers)
    {
        Known = [.. peers.Select(static p => p.Node)];
        _network.KnowledgeChanged(this);
    }

    public void Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done) =>
        _network.Calls.Ask(this, to, request.ToArray(), patience, done);

    public void Answer(CallTicket call, ReadOnlySpan<byte> reply) => _network.Calls.Answer(this, call, reply.ToArray());

    /// <summary>The process stands still: what comes to it waits, and it does not know that time passes.</summary>
    public void Pause()
    {
        IsPaused = true;
        _network.Paused(this, ++Pauses);
    }

    public void Resume()
    {
        IsPaused = false;
        if (IsSilent)
            _network.Resumed(this);
        IsSilent = false;
        while (!IsPaused && !IsDown && _waiting.TryDequeue(out Action? next))
            next();
    }

    /// <summary>The process dies, with all that waited for it.</summary>
    public void Crash()
    {
        Life++;
        IsDown = true;
        IsPaused = IsSilent = false;
        _waiting.Clear();
        Known = null;
        _network.Crashed(this);
    }

    public void Restart()
    {
        Check.That(IsDown);
        IsDown = false;
        _network.Restarted(this);
    }

    /// <summary>Another node is here now, and who knew the one before does not know it.</summary>
    public void Rename(NodeId self)
    {
        if (Self == self)
            return;
        Check.That(_network.IsFree(self));
        Self = self;
        _network.KnowledgeChanged(this);
    }

    internal bool Knows(NodeId peer) => Known is null || Known.Contains(peer);

    /// <summary>Something happens to the process: now, when it goes on, or not in this life.</summary>
    public void Run(Action happens)
    {
        if (IsDown)
            return;
        if (IsPaused)
            _waiting.Enqueue(happens);
        else
            happens();
    }
}
