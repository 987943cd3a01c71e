using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Simulation.Network;

/// <summary>One node's end of the imagined network, and whether its process runs at all.</summary>
public sealed class SimulatedTransport : ITransport
{
    private readonly SimulatedNetwork _network;
    private readonly Queue<Action> _waiting = new();

    internal SimulatedTransport(SimulatedNetwork network, NodeId self, ITransportListener listener, int index)
    {
        _network = network;
        Self = self;
        Listener = listener;
        Index = index;
    }

    public NodeId Self { get; }

    public bool IsPaused { get; private set; }

    public bool IsDown { get; private set; }

    internal ITransportListener Listener { get; }

    internal int Index { get; }

    internal List<SimulatedNetwork.SimulatedLink> Links { get; } = [];

    /// <summary>Which life of the process this is: what was sent to an earlier one does not reach it.</summary>
    internal int Life { get; private set; }

    public SendOutcome Send(NodeId to, MessageBuffer message) => _network.Send(this, to, message);

    /// <summary>The process stands still: what comes to it waits, and it does not know that time passes.</summary>
    public void Pause() => IsPaused = true;

    public void Resume()
    {
        IsPaused = false;
        while (!IsPaused && !IsDown && _waiting.TryDequeue(out Action? next))
            next();
    }

    /// <summary>The process dies, with all that waited for it.</summary>
    public void Crash()
    {
        Life++;
        IsDown = true;
        IsPaused = false;
        _waiting.Clear();
    }

    public void Restart()
    {
        Check.That(IsDown);
        IsDown = false;
    }

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
