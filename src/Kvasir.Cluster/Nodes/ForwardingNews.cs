using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Passes on what the transport tells to whoever takes forwarded requests. A node talks with its peers, and may lead, before its server
/// is there: what comes until then is kept, or the nodes that sent it would wait for answers for ever.
/// </summary>
internal sealed class ForwardingNews
{
    private const long EarlyBytesMax = 64L << 20;

    private readonly Lock _gate = new();
    private readonly SortedSet<NodeId> _present = [];
    private readonly List<(NodeId From, MessageBuffer Message)> _early = [];
    private ITransportListener? _listener;
    private long _earlyBytes;

    /// <summary>Once. It hears of the peers that are there, and of what they have sent; then of what happens.</summary>
    public void PassTo(ITransportListener listener)
    {
        lock (_gate)
        {
            foreach (NodeId peer in _present)
                listener.Connected(peer);
            foreach ((NodeId from, MessageBuffer message) in _early)
            {
                listener.Received(from, message.Bytes);
                message.Dispose();
            }

            _early.Clear();
            listener.Settled();
            Volatile.Write(ref _listener, listener);
        }
    }

    public void Received(NodeId from, ReadOnlySpan<byte> message)
    {
        if (Volatile.Read(ref _listener) is null && TryKeep(from, message))
            return;
        _listener!.Received(from, message);
    }

    public void Connected(NodeId peer)
    {
        lock (_gate)
        {
            _present.Add(peer);
            _listener?.Connected(peer);
        }
    }

    public void Disconnected(NodeId peer)
    {
        lock (_gate)
        {
            _present.Remove(peer);
            _listener?.Disconnected(peer);
            foreach ((_, MessageBuffer message) in _early.FindAll(e => e.From == peer))
                message.Dispose();
            _early.RemoveAll(e => e.From == peer);
        }
    }

    public void Settled() => Volatile.Read(ref _listener)?.Settled();

    public void Writable(NodeId peer) => Volatile.Read(ref _listener)?.Writable(peer);

    /// <summary>False when somebody listens by now.</summary>
    private bool TryKeep(NodeId from, ReadOnlySpan<byte> message)
    {
        lock (_gate)
        {
            if (_listener is not null)
                return false;
            _earlyBytes += message.Length;
            if (_earlyBytes > EarlyBytesMax)
                throw new MalformedMessageException("more requests than a node without a server keeps");
            _early.Add((from, MessageBuffer.Copy(message)));
            return true;
        }
    }
}
