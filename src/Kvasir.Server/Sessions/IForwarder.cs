using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Takes requests to the nodes that lead their shards, and replies back. Inside the mailbox, where a member does not say
/// otherwise.
/// </summary>
internal interface IForwarder
{
    /// <summary>The node can be reached, as far as is known.</summary>
    bool CanReach(NodeId node);

    /// <summary>Whether the node may be sent more for now: what is on its way to it, and to all, is bounded.</summary>
    bool HasRoom(NodeId node);

    /// <summary>
    /// Requests for the shard wait here: what comes now waits behind them, and must not if an earlier request of its session is
    /// on its way already.
    /// </summary>
    bool HoldsBack(GroupId group);

    /// <summary>Another number whenever what other nodes said has changed where requests go.</summary>
    ulong Learned { get; }

    /// <summary>Takes a request on its way. Its sink is given one reply, whatever happens.</summary>
    void Send(in ForwardedRequest request);

    /// <summary>No more is sent on it; what is under way is still answered.</summary>
    void Close(WatchLane lane);

    /// <summary>Sends a published message to all other nodes that can be reached now; nobody hears whether it came.</summary>
    void Broadcast(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool ofShard);

    /// <summary>Requests wait for <see cref="Flush"/>. Any thread.</summary>
    bool HasUnsent { get; }

    /// <summary>Sends what came together, such as in one turn of an event loop. Any thread.</summary>
    void Flush();
}

/// <summary>Who is given a reply that another node made.</summary>
internal interface IReplySink
{
    /// <summary>One whole reply, lent; <see cref="ServerState.WakeNow"/> follows it. Inside the mailbox.</summary>
    void Replied(ReadOnlySpan<byte> reply);
}

/// <summary>A request on its way to the leader of a shard: lent for the time of the call.</summary>
internal readonly ref struct ForwardedRequest
{
    public required GroupId Group { get; init; }

    public required int Database { get; init; }

    /// <summary>Who leads the shard; may be this node itself.</summary>
    public required NodeId Leader { get; init; }

    /// <summary>Of RESP: 2 or 3.</summary>
    public required int Protocol { get; init; }

    /// <summary>Raw RESP; several requests where <see cref="RepliesBefore"/> says so.</summary>
    public required ReadOnlySpan<byte> Bytes { get; init; }

    /// <summary>So many replies come before the one that is wanted, and are dropped.</summary>
    public int RepliesBefore { get; init; }

    /// <summary>When it was lost on its way, nobody can tell whether it happened.</summary>
    public bool Writes { get; init; }

    /// <summary>Null when nobody wants the reply.</summary>
    public IReplySink? Sink { get; init; }

    /// <summary>A way of its own; null for the one that all share. What is lost on it is not sent again.</summary>
    public WatchLane? Lane { get; init; }

    /// <summary>Whose it is: its requests are not tried again when later ones of it are on their way. Null for none.</summary>
    public RespSession? Session { get; init; }
}
