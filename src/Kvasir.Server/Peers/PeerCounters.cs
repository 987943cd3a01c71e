using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Peers;

/// <summary>What was counted of one peer. Those of sending are raised by any thread, the others by the loop.</summary>
internal sealed class PeerCounters
{
    private long _messagesSent, _bytesSent, _dropped, _bytesLost;
    private long _messagesReceived, _bytesReceived, _links;

    public void Sent(SendOutcome outcome, int bytes)
    {
        if (outcome != SendOutcome.Queued)
        {
            Interlocked.Increment(ref _dropped);
            return;
        }

        Interlocked.Increment(ref _messagesSent);
        Interlocked.Add(ref _bytesSent, bytes);
    }

    public void Received(int bytes)
    {
        Volatile.Write(ref _messagesReceived, _messagesReceived + 1);
        Volatile.Write(ref _bytesReceived, _bytesReceived + bytes);
    }

    public void Linked() => Volatile.Write(ref _links, _links + 1);

    public void Lost(long bytes) => Interlocked.Add(ref _bytesLost, bytes);

    public PeerStatistics Read(long queuedBytes) => new()
    {
        MessagesSent = Volatile.Read(ref _messagesSent),
        BytesSent = Volatile.Read(ref _bytesSent),
        MessagesReceived = Volatile.Read(ref _messagesReceived),
        BytesReceived = Volatile.Read(ref _bytesReceived),
        Dropped = Volatile.Read(ref _dropped),
        BytesLost = Volatile.Read(ref _bytesLost),
        Links = Volatile.Read(ref _links),
        QueuedBytes = queuedBytes,
    };
}
