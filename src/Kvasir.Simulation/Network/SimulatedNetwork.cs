using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Network;

/// <summary>
/// An imagined network: every message is bytes that take their time, get lost, come twice, overtake each other, and die on links
/// that are cut, in one direction or both. All by the seed.
/// </summary>
public sealed class SimulatedNetwork
{
    private readonly EventQueue _events;
    private readonly SeededRandom _random;
    private readonly TraceHash _trace;
    private readonly List<SimulatedTransport> _nodes = [];

    public SimulatedNetwork(EventQueue events, SeededRandom random, TraceHash trace)
    {
        _events = events;
        _random = random;
        _trace = trace;
        Calls = new SimulatedCalls(this, events);
    }

    public NetworkConditions Behaviour { get; set; } = new();

    /// <summary>As connections are: of two nodes one at least must have been told of the other before they can talk.</summary>
    public bool NeedsIntroduction { get; set; }

    public long Sent { get; private set; }

    public long Delivered { get; private set; }

    public long Lost { get; private set; }

    public long Duplicated { get; private set; }

    /// <summary>Told of each message that arrives, and of each that does not.</summary>
    public Action<NodeId, NodeId, string>? Watcher { get; set; }

    internal SimulatedCalls Calls { get; }

    /// <summary>A node comes to be, with a number of its own; its listener hears from now on.</summary>
    public SimulatedTransport Join(NodeId id, ITransportListener listener)
    {
        Check.That(_nodes.TrueForAll(n => n.Self != id));
        var node = new SimulatedTransport(this, id, listener, _nodes.Count);
        _nodes.Add(node);
        foreach (SimulatedTransport each in _nodes)
        {
            while (each.Links.Count < _nodes.Count)
                each.Links.Add(new SimulatedLink());
        }

        return node;
    }

    /// <summary>Nothing goes from one to the other any more, not even what is on its way. The other direction is another link.</summary>
    public void Cut(NodeId from, NodeId to) => SetCut(from, to, isCut: true);

    public void Mend(NodeId from, NodeId to) => SetCut(from, to, isCut: false);

    /// <summary>All links are whole and as fast as they were.</summary>
    public void MendAll()
    {
        foreach (SimulatedTransport from in _nodes)
        {
            foreach (SimulatedTransport to in _nodes)
            {
                from.Links[to.Index].Slowness = 1;
                SetCut(from.Self, to.Self, isCut: false);
            }
        }
    }

    /// <summary>This link takes so many times as long.</summary>
    public void Slow(NodeId from, NodeId to, double slowness) => Find(from)!.Links[Find(to)!.Index].Slowness = slowness;

    internal SendOutcome Send(SimulatedTransport from, NodeId to, MessageBuffer message)
    {
        SimulatedTransport? target = Find(to);
        if (target is null || from.IsDown || target.IsSilent || !KnowEachOther(from, target))
        {
            message.Dispose();
            return SendOutcome.Unreachable;
        }

        Sent++;
        _trace.Add(((ulong)_events.Now.Ticks << 8) ^ ((ulong)from.Index << 4) ^ (ulong)target.Index);
        _trace.Add(message.Bytes);
        SimulatedLink link = from.Links[target.Index];
        if (link.Bytes > 0 && link.Bytes + message.Length > Behaviour.LinkBytesMax)
        {
            link.IsFull = true;
            message.Dispose();
            return SendOutcome.Full;
        }

        if (link.IsCut || (Behaviour.Loss > 0 && _random.NextDouble() < Behaviour.Loss))
        {
            Lose(from, target, message);
            return SendOutcome.Queued;
        }

        if (Behaviour.Duplication > 0 && _random.NextDouble() < Behaviour.Duplication)
        {
            Duplicated++;
            Post(from, target, link, MessageBuffer.Copy(message.Bytes));
        }

        Post(from, target, link, message);
        return SendOutcome.Queued;
    }

    /// <summary>Something small goes from one to the other on its own; whether it arrives is told by the result when it does.</summary>
    internal void Carry(SimulatedTransport from, SimulatedTransport to, Action arrives)
    {
        SimulatedLink link = from.Links[to.Index];
        bool lost = Behaviour.Loss > 0 && _random.NextDouble() < Behaviour.Loss;
        int life = to.Life;
        _events.After(DrawLatency(link), () =>
        {
            if (!lost && !link.IsCut && !to.IsDown && to.Life == life)
                to.Run(arrives);
        });
    }

    internal SimulatedTransport? FindAt(PeerAddress address) =>
        _nodes.Find(n => n.Address.Host == address.Host && n.Address.Port == address.Port);

    /// <summary>A node was told whom there is: after a moment those who know each other hear of it.</summary>
    internal void KnowledgeChanged(SimulatedTransport node)
    {
        foreach (SimulatedTransport peer in _nodes)
        {
            if (peer != node)
                _events.After(Behaviour.LatencyMin, () => Meet(node, peer));
        }
    }

    /// <summary>Its connections end with a process: the others notice.</summary>
    internal void Crashed(SimulatedTransport node)
    {
        foreach (SimulatedTransport peer in _nodes)
        {
            if (peer != node)
                _events.After(Behaviour.NoticedAfter, () => Disconnect(node, peer));
        }
    }

    /// <summary>A process that stands still says nothing: after a while the others give their connections with it up.</summary>
    internal void Paused(SimulatedTransport node, int pause) => _events.After(Behaviour.SilenceMax, () =>
    {
        if (node.IsDown || !node.IsPaused || node.Pauses != pause)
            return;
        node.IsSilent = true;
        foreach (SimulatedTransport peer in _nodes)
        {
            if (peer != node)
                Disconnect(node, peer);
        }
    });

    /// <summary>It finds out that its connections have ended, and they are made anew.</summary>
    internal void Resumed(SimulatedTransport node)
    {
        foreach (SimulatedTransport peer in _nodes)
        {
            if (peer != node)
                _events.After(Behaviour.NoticedAfter, () => Disconnect(peer, node));
        }
    }

    internal void Restarted(SimulatedTransport node)
    {
        foreach (SimulatedTransport peer in _nodes)
        {
            if (peer != node)
                _events.After(Behaviour.NoticedAfter, () => Notice(node, peer));
        }
    }

    /// <summary>The connection with a node has ended for a peer of it; there may be another at once.</summary>
    private void Disconnect(SimulatedTransport node, SimulatedTransport peer)
    {
        if (node.Known is not null || peer.Known is not null)
            Introduce(peer, node, together: false);
        else
            Tell(peer, node, isCut: true);
        Notice(node, peer);
    }

    private TimeSpan DrawLatency(SimulatedLink link)
    {
        double ticks = Behaviour.LatencyMin.Ticks - (Math.Log(1 - _random.NextDouble()) * Behaviour.LatencyMean.Ticks);
        return TimeSpan.FromTicks((long)(ticks * link.Slowness));
    }

    private void Post(SimulatedTransport from, SimulatedTransport to, SimulatedLink link, MessageBuffer message)
    {
        TimeSpan arrives = _events.Now + DrawLatency(link);
        if (!Behaviour.Reorders && arrives < link.LastArrival)
            arrives = link.LastArrival;
        link.LastArrival = arrives;
        link.Bytes += message.Length;
        (NodeId sender, NodeId addressed, int life) = (from.Self, to.Self, to.Life);
        _events.At(arrives, () => Arrive(from, sender, to, addressed, link, message, life));
    }

    private void Arrive(
        SimulatedTransport from, NodeId sender, SimulatedTransport to, NodeId addressed, SimulatedLink link, MessageBuffer message, int life)
    {
        link.Bytes -= message.Length;
        if (link.IsFull && link.Bytes <= Behaviour.LinkBytesMax / 2)
        {
            link.IsFull = false;
            from.Run(() => from.Listener.Writable(to.Self));
        }

        // Another node may be there by now: connections begin with a look at who answers.
        if (link.IsCut || to.Life != life || to.Self != addressed || to.IsDown || !KnowEachOther(from, to))
        {
            Lose(from, to, message);
            return;
        }

        to.Run(() =>
        {
            using (message)
            {
                Delivered++;
                Watcher?.Invoke(sender, to.Self, "arrives");
                to.Listener.Received(sender, message.Bytes);
                to.Listener.Settled();
            }
        });
    }

    private void Lose(SimulatedTransport from, SimulatedTransport to, MessageBuffer message)
    {
        Lost++;
        Watcher?.Invoke(from.Self, to.Self, "is lost");
        message.Dispose();
    }

    private void SetCut(NodeId from, NodeId to, bool isCut)
    {
        SimulatedTransport a = Find(from)!, b = Find(to)!;
        SimulatedLink link = a.Links[b.Index];
        if (link.IsCut == isCut)
            return;
        link.IsCut = isCut;
        _events.After(Behaviour.NoticedAfter, () => Notice(a, b));
    }

    /// <summary>A connection needs both directions: both ends notice when one is cut.</summary>
    private void Notice(SimulatedTransport a, SimulatedTransport b)
    {
        if (a.Known is not null || b.Known is not null)
        {
            Meet(a, b);
            return;
        }

        bool isCut = a.Links[b.Index].IsCut || b.Links[a.Index].IsCut || a.IsGone || b.IsGone;
        Tell(a, b, isCut);
        Tell(b, a, isCut);
    }

    /// <summary>Two of whom one at least knows whom there is: they are connected while they know each other and no link is cut.</summary>
    private void Meet(SimulatedTransport a, SimulatedTransport b)
    {
        bool together = !a.IsGone && !b.IsGone && KnowEachOther(a, b) && !a.Links[b.Index].IsCut && !b.Links[a.Index].IsCut;
        Introduce(a, b, together);
        Introduce(b, a, together);
    }

    private bool KnowEachOther(SimulatedTransport a, SimulatedTransport b) =>
        a.Knows(b.Self) && b.Knows(a.Self) && (!NeedsIntroduction || a.Known is not null || b.Known is not null);

    private static void Introduce(SimulatedTransport node, SimulatedTransport peer, bool together)
    {
        SimulatedLink link = node.Links[peer.Index];
        bool told = link.IntroducedInLife == node.Life;
        if (node.IsDown || (told == together && (!told || link.IntroducedAs == peer.Self)))
            return;
        NodeId before = link.IntroducedAs, now = peer.Self;
        (link.IntroducedInLife, link.IntroducedAs) = (together ? node.Life : -1, now);
        if (told)
            node.Run(() => node.Listener.Disconnected(before));
        if (together)
            node.Run(() => node.Listener.Connected(now));
    }

    private static void Tell(SimulatedTransport node, SimulatedTransport peer, bool isCut)
    {
        SimulatedLink link = node.Links[peer.Index];
        if (link.IsKnownCut == isCut)
            return;
        link.IsKnownCut = isCut;
        node.Run(() =>
        {
            if (isCut)
                node.Listener.Disconnected(peer.Self);
            else
                node.Listener.Connected(peer.Self);
        });
    }

    internal bool IsFree(NodeId id) => Find(id) is null;

    private SimulatedTransport? Find(NodeId id) => _nodes.Find(n => n.Self == id);

    internal sealed class SimulatedLink
    {
        public bool IsCut { get; set; }

        public bool IsKnownCut { get; set; }

        /// <summary>In which life the node at its beginning was told that the other is there; negative: in none.</summary>
        public int IntroducedInLife { get; set; } = -1;

        /// <summary>Who was there then.</summary>
        public NodeId IntroducedAs { get; set; }

        public bool IsFull { get; set; }

        public double Slowness { get; set; } = 1;

        public long Bytes { get; set; }

        public TimeSpan LastArrival { get; set; }
    }
}
