using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Forwarding;

/// <content>Messages that are published on one node reach who listens on another, where the link between them is whole.</content>
internal sealed partial class RequestExchange
{
    private readonly BytesBuffer _published = new(256);
    private NodeId[] _others = [];
    private ulong _othersVersion = ulong.MaxValue;

    public void Broadcast(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool ofShard)
    {
        if (_othersVersion != _router.Version)
        {
            _others = [.. _node.Topology.Nodes.Where(IsListener).Select(n => n.Id)];
            _othersVersion = _router.Version;
        }

        if (_others.Length == 0 || channel.Length + message.Length > _transport.MessageBytesMax - 16)
            return;
        PublishedMessage.Write(_published, channel, message, ofShard);
        foreach (NodeId other in _others)
        {
            // As for every subscriber: who cannot keep up misses some.
            if (CanReach(other) && _transport.Send(other, _published.WrittenSpan, more: true) == SendOutcome.Queued)
                _hasSent = _hasUnsent = true;
        }

        _published.ClearAndTrim(64 << 10);
    }

    private bool IsListener(NodeDescription node) => node.Id != Self && node.State != "decommissioned";

    private void TakePublished(ReadOnlySpan<byte> bytes)
    {
        if (!PublishedMessage.TryRead(bytes, out ReadOnlySpan<byte> channel, out ReadOnlySpan<byte> message, out bool ofShard))
            return;
        if (ofShard)
            _server.PubSub.PublishShard(channel, message, current: null);
        else
            _server.PubSub.Publish(channel, message, current: null);
    }
}
