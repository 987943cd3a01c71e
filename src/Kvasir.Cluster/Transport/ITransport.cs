namespace Kvasir.Cluster.Transport;

/// <summary>What became of a message that was given to a transport. None of these says that it arrived.</summary>
public enum SendOutcome : byte
{
    /// <summary>It is on its way, and may still be lost, doubled or overtaken.</summary>
    Queued = 0,

    /// <summary>As much is waiting for this peer as may; the message is dropped. <see cref="ITransportListener.Writable"/> follows.</summary>
    Full = 1,

    /// <summary>The peer is not known, or not connected; the message is dropped.</summary>
    Unreachable = 2,
}

/// <summary>
/// Messages between the nodes of a cluster. It promises little: a message arrives once, more than once or never, whole if at
/// all, and perhaps after a later one; what is built on it must bear that. Sending never blocks, and no peer, however
/// slow or dead, delays what is meant for another.
/// </summary>
/// <remarks>
/// A transport calls its listener from one thread at a time, or, for a transport with a thread for each peer, from one
/// at a time for each peer; <see cref="Send"/> may be called from any.
/// </remarks>
public interface ITransport
{
    NodeId Self { get; }

    /// <summary>Takes the message over, whatever the outcome.</summary>
    SendOutcome Send(NodeId to, MessageBuffer message);
}

/// <summary>Who a transport tells.</summary>
public interface ITransportListener
{
    /// <summary>The bytes are lent for the time of the call.</summary>
    void Received(NodeId from, ReadOnlySpan<byte> message);

    /// <summary>A peer can be reached now.</summary>
    void Connected(NodeId peer);

    /// <summary>What was sent to this peer lately may be lost.</summary>
    void Disconnected(NodeId peer);

    /// <summary>After <see cref="SendOutcome.Full"/>: there is room again.</summary>
    void Writable(NodeId peer);
}
