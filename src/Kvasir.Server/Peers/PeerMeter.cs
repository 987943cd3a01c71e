using System.Diagnostics.Metrics;
using Kvasir.Server.Metrics;

namespace Kvasir.Server.Peers;

/// <summary>The instruments of the talk with other nodes, read when somebody asks.</summary>
internal sealed class PeerMeter : IDisposable
{
    private readonly Meter _meter = new(ServerMeter.Name);
    private readonly TcpTransport _transport;

    public PeerMeter(TcpTransport transport)
    {
        _transport = transport;
        _meter.CreateObservableGauge("kvasir.peers", () => (long)transport.Peers.Count, unit: null, "other nodes of the cluster");
        _meter.CreateObservableGauge("kvasir.peers.connected", () => transport.Peers.LongCount(static p => p.IsConnected), unit: null, "of them, those that are connected");
        _meter.CreateObservableGauge("kvasir.peers.queued.bytes", () => transport.Statistics.QueuedBytes, unit: null, "bytes that wait for peers which do not read as fast as they are sent to");
        Counter("kvasir.peers.links", "connections that were made with peers, reconnects among them", static s => s.Links);
        Counter("kvasir.peers.sent.messages", "messages to peers", static s => s.MessagesSent);
        Counter("kvasir.peers.sent.bytes", "bytes of them", static s => s.BytesSent);
        Counter("kvasir.peers.received.messages", "messages from peers", static s => s.MessagesReceived);
        Counter("kvasir.peers.received.bytes", "bytes of them", static s => s.BytesReceived);
        Counter("kvasir.peers.dropped.messages", "messages that were not sent: no room, or no connection", static s => s.Dropped);
        Counter("kvasir.peers.lost.bytes", "bytes that waited when a connection was lost", static s => s.BytesLost);
    }

    public void Dispose() => _meter.Dispose();

    private void Counter(string name, string description, Func<PeerStatistics, long> value) =>
        _meter.CreateObservableCounter(name, () => value(_transport.Statistics), unit: null, description);
}
