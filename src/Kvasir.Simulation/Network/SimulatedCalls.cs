using Kvasir.Cluster.Transport;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Network;

/// <summary>Questions that nodes ask each other outside of their links.</summary>
internal sealed class SimulatedCalls(SimulatedNetwork network, EventQueue events)
{
    private readonly SortedDictionary<ulong, OpenCall> _open = [];
    private ulong _last;

    public void Ask(SimulatedTransport from, PeerAddress to, byte[] request, TimeSpan patience, Action<CallReply> done)
    {
        ulong id = ++_last;
        SimulatedTransport? target = network.FindAt(to);
        if (target is null || from.IsDown || (!to.Node.IsNone && target.Self != to.Node))
        {
            events.After(TimeSpan.Zero, () => from.Run(() => done(new CallReply(CallOutcome.Failed, default, $"nobody is at {to}"))));
            return;
        }

        var call = new OpenCall(from, from.Life, target, done);
        _open.Add(id, call);
        network.Carry(from, target, () =>
        {
            call.IsHeard = true;
            target.Listener.Called(new CallTicket(id), request);
        });
        events.After(patience, () => End(id, new CallReply(call.IsHeard ? CallOutcome.Lost : CallOutcome.Failed, default, "no answer came in time")));
    }

    public void Answer(SimulatedTransport from, CallTicket ticket, byte[] reply)
    {
        if (_open.TryGetValue(ticket.Value, out OpenCall? call) && call.Target == from)
            network.Carry(from, call.From, () => End(ticket.Value, new CallReply(CallOutcome.Answered, reply, "")));
    }

    private void End(ulong id, CallReply reply)
    {
        if (!_open.Remove(id, out OpenCall? call) || call.From.Life != call.Life)
            return;
        call.From.Run(() => call.Done(reply));
    }

    private sealed record OpenCall(SimulatedTransport From, int Life, SimulatedTransport Target, Action<CallReply> Done)
    {
        public bool IsHeard { get; set; }
    }
}
