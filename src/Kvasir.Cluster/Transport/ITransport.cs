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
/// A transport over connections keeps more: between <see cref="ITransportListener.Connected"/> and
/// <see cref="ITransportListener.Disconnected"/> messages of one peer arrive once and in order, and what was lost was lost
/// at the end. A transport calls its listener from one thread at a time, or, for a transport with a thread for each peer,
/// from one at a time for each peer. Everything here may be called from any thread, from inside the listener too.
/// </remarks>
public interface ITransport
{
    /// <summary>Nobody until this node has a number.</summary>
    NodeId Self { get; }

    /// <summary>No message may be longer; whoever makes messages sees to that before.</summary>
    int MessageBytesMax { get; }

    /// <summary>Takes the message over, whatever the outcome.</summary>
    SendOutcome Send(NodeId to, MessageBuffer message);

    /// <summary>The bytes are the caller's again when this returns.</summary>
    /// <param name="more">
    /// Another message, or <see cref="Flush"/>, follows at once from the same caller: this one may wait for it, and leave
    /// with it.
    /// </param>
    SendOutcome Send(NodeId to, ReadOnlySpan<byte> message, bool more = false);

    /// <summary>Messages that were held back for the sake of later ones leave, to all peers.</summary>
    void Flush();

    /// <summary>
    /// All other nodes of the cluster, and where they are. Who is no longer among them is connected no longer, nor heard. Before
    /// the first time, whoever belongs to the cluster is heard. This node itself may stand among them.
    /// </summary>
    void SetPeers(IReadOnlyList<PeerAddress> peers);

    /// <summary>
    /// Asks one question of whoever listens at an address, be this node a member of the cluster or not yet.
    /// <paramref name="done"/> is called once, unless the transport is disposed of before, from the listener's thread.
    /// </summary>
    void Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done);

    /// <summary>Answers a question that <see cref="ITransportListener.Called"/> told of. Nothing happens if the other side is gone.</summary>
    void Answer(CallTicket call, ReadOnlySpan<byte> reply);
}

/// <summary>Who a transport tells.</summary>
public interface ITransportListener
{
    /// <summary>The bytes are lent for the time of the call.</summary>
    /// <exception cref="MalformedMessageException">They are no message; the connection they came over ends.</exception>
    void Received(NodeId from, ReadOnlySpan<byte> message);

    /// <summary>
    /// Everything that had come is told, by one call of <see cref="Received"/> or by many: who gathers messages, to treat
    /// them together, does so now.
    /// </summary>
    void Settled()
    {
    }

    /// <summary>A peer can be reached now.</summary>
    void Connected(NodeId peer);

    /// <summary>What was sent to this peer lately, or by it, may be lost.</summary>
    void Disconnected(NodeId peer);

    /// <summary>After <see cref="SendOutcome.Full"/>: there is room again.</summary>
    void Writable(NodeId peer);

    /// <summary>
    /// Somebody asks, perhaps from outside of the cluster; <see cref="ITransport.Answer"/> answers, now or later. The bytes are
    /// lent for the time of the call.
    /// </summary>
    /// <exception cref="MalformedMessageException">They are no question; the connection they came over ends.</exception>
    void Called(CallTicket call, ReadOnlySpan<byte> request)
    {
    }
}
