using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Forwarding;

/// <content>Requests of this node's clients.</content>
internal sealed partial class RequestExchange
{
    private const long PeerBytesMax = 16 << 20;
    private const long AllBytesMax = 64 << 20;

    // A leader that another took the place of has so long to answer what it still can.
    private const long StaleMs = 300;
    private const long StaleLookMs = 20;

    private static readonly byte[] s_lostWrite = "-TIMEOUT outcome unknown: the link to the leader of the shard was lost\r\n"u8.ToArray();
    private static readonly byte[] s_lostRead = "-TRYAGAIN the link to the leader of the shard was lost\r\n"u8.ToArray();
    private static readonly byte[] s_lostWatch = "-TRYAGAIN the leader of the watched shard was lost\r\n"u8.ToArray();
    private static readonly byte[] s_notRun2 = "*-1\r\n"u8.ToArray();
    private static readonly byte[] s_notRun3 = "_\r\n"u8.ToArray();
    private static readonly byte[] s_unreachable = "-CLUSTERDOWN the leader of the shard cannot be reached\r\n"u8.ToArray();
    private static readonly byte[] s_leaderless = "-CLUSTERDOWN the shard has no leader\r\n"u8.ToArray();
    private static readonly byte[] s_notReady = "-TRYAGAIN the leader of the shard cannot reach a majority of it\r\n"u8.ToArray();
    private static readonly byte[] s_gone = "-ERR the keyspace of this database was dropped: SELECT another\r\n"u8.ToArray();

    private readonly Dictionary<StreamKey, OutgoingStream> _outgoing = [];

    // The same in the order in which they were opened: for walks.
    private readonly List<OutgoingStream> _streams = [];
    private readonly Dictionary<ulong, OutgoingStream> _byId = [];
    private readonly List<OutgoingStream> _dirty = [];
    private readonly List<(SentRequest Request, bool WasSent)> _broken = [];

    // Requests that nobody takes for the moment, in order.
    private readonly LinkedList<SentRequest> _parked = new();

    // How many of them are for which shard, and for which shards the first cannot go yet: then none behind it may.
    private readonly Dictionary<GroupId, int> _parkedOf = [];
    private readonly HashSet<GroupId> _heldBack = [];
    private readonly HashSet<RespSession> _wrote = [];
    private readonly Dictionary<GroupId, (NodeId Leader, ulong Version)> _hints = [];
    private readonly Dictionary<GroupId, CommittedPosition> _committed = [];
    private ulong _nextStream;
    private long _owed;
    private long _owedBytes;
    private long _staleLookMs;

    private long PatienceMs => (long)(_server.Router?.Patience.TotalMilliseconds ?? 1000);

    public bool CanReach(NodeId node) => node == Self || Peer(node).IsReachable;

    public bool HoldsBack(GroupId group) => _parkedOf.Count != 0 && _parkedOf.ContainsKey(group);

    public ulong Learned { get; private set; }

    public bool HasRoom(NodeId node) => _owedBytes < AllBytesMax && Peer(node).Bytes < PeerBytesMax;

    public void Send(in ForwardedRequest request)
    {
        SentRequest sent = new(request, _server.Clock.NowMs + PatienceMs);
        _hasUnsent = true;
        if (request.Lane is { } lane)
        {
            if (lane.Leader.IsNone)
                lane.Leader = Hinted(request.Group, request.Leader);
            Append(lane.Leader, sent);
            return;
        }

        NodeId leader = request.Leader.IsNone ? Leader(_router.Route(request.Group)) : Hinted(request.Group, request.Leader);
        if (leader.IsNone || HoldsBack(request.Group))
            Park(sent);
        else
            Append(leader, sent);
    }

    public void Close(WatchLane lane)
    {
        lane.IsBroken = true;
        foreach (int protocol in (ReadOnlySpan<int>)[2, 3])
        {
            if (!_outgoing.TryGetValue(new StreamKey(lane.Leader, lane.Group, protocol, lane), out OutgoingStream? stream))
                continue;
            stream.EndsWhenAnswered = true;
            if (stream.Count == 0)
                Break(stream);
        }
    }

    /// <summary>
    /// A reply has come. By the stream. False: its node does not lead. It has refused whatever came behind, too; all of it is
    /// sent to whoever does, in order.
    /// </summary>
    public bool TryAnswer(OutgoingStream stream, SentRequest request, ReadOnlySpan<byte> reply)
    {
        Settled(stream.Key.Peer, request);
        if (!SentRequest.IsNotLeader(reply))
        {
            request.Answer(reply);
            return true;
        }

        Learn(request.Group, SentRequest.LeaderIn(reply));
        if (request.Lane is { } lane)
        {
            lane.IsBroken = true;
            request.Answer(NotRun(request));
            return false;
        }

        if (NowMs >= request.DeadlineMs)
        {
            request.Answer(request.IsUnknown ? s_lostWrite : reply);
            return false;
        }

        if (++request.Misses > 1)
            request.NotBeforeMs = NowMs + (long)s_look.TotalMilliseconds;
        Park(request);
        return false;
    }

    /// <summary>A node that does not lead says who does: believed until this node's own knowledge changes.</summary>
    private void Learn(GroupId group, NodeId leader)
    {
        Learned++;
        if (leader.IsNone || leader == Self)
            _hints.Remove(group);
        else
            _hints[group] = (leader, _router.Version);
    }

    private NodeId Hinted(GroupId group, NodeId leader)
    {
        if (_hints.Count == 0 || !_hints.TryGetValue(group, out (NodeId Leader, ulong Version) hint))
            return leader;
        if (hint.Version == _router.Version && CanReach(hint.Leader))
            return hint.Leader;
        _hints.Remove(group);
        return leader;
    }

    private void Append(NodeId leader, SentRequest request)
    {
        StreamKey key = new(leader, request.Group, request.Protocol, request.Lane);
        if (!_outgoing.TryGetValue(key, out OutgoingStream? stream))
        {
            stream = new OutgoingStream(_nextStream++, key, request.Database, Committed(request.Group));
            _outgoing.Add(key, stream);
            _byId.Add(stream.Id, stream);
            _streams.Add(stream);
        }

        if (!stream.HasUnsent)
            stream.Committed.Heard(_router.CommittedIn(request.Group));
        stream.Append(request);
        PeerState peer = Peer(leader);
        peer.Bytes += request.Length;
        _owedBytes += request.Length;
        _owed++;
        if (!stream.IsDirty)
        {
            stream.IsDirty = true;
            _dirty.Add(stream);
        }
    }

    /// <summary>Who may be sent a request now; nobody when that is not known.</summary>
    private NodeId Leader(in Route route) => route.Kind switch
    {
        RouteKind.Local or RouteKind.NotReady => Self,
        RouteKind.Remote when Hinted(route.Group, route.Leader) is var leader && CanReach(leader) => leader,
        _ => NodeId.None,
    };

    private void Settled(NodeId leader, SentRequest request)
    {
        Peer(leader).Bytes -= request.Length;
        _owedBytes -= request.Length;
        _owed--;
    }

    private CommittedPosition Committed(GroupId group)
    {
        if (!_committed.TryGetValue(group, out CommittedPosition? committed))
            _committed.Add(group, committed = new CommittedPosition());
        return committed;
    }

    private void Park(SentRequest request)
    {
        _parked.AddLast(request);
        _parkedOf[request.Group] = _parkedOf.GetValueOrDefault(request.Group) + 1;
    }

    private void Unpark(LinkedListNode<SentRequest> at)
    {
        _parked.Remove(at);
        GroupId group = at.Value.Group;
        int left = _parkedOf[group] - 1;
        if (left == 0)
            _parkedOf.Remove(group);
        else
            _parkedOf[group] = left;
    }

    /// <summary>
    /// Sends what was parked to whoever leads its shard now, in order; what has waited for too long is refused.
    /// </summary>
    private void SendParked()
    {
        _heldBack.Clear();
        LinkedListNode<SentRequest>? next = _parked.First;
        while (next is not null)
        {
            LinkedListNode<SentRequest> at = next;
            SentRequest request = at.Value;
            next = at.Next;
            Route route = _router.Route(request.Group);
            NodeId leader = _heldBack.Contains(request.Group) || request.NotBeforeMs > NowMs ? NodeId.None : Leader(route);
            if (leader.IsNone)
                _heldBack.Add(request.Group);
            if (!leader.IsNone)
            {
                Unpark(at);
                Append(leader, request);
            }
            else if (route.Kind == RouteKind.Gone || NowMs >= request.DeadlineMs)
            {
                Unpark(at);
                request.Answer(request.IsUnknown ? s_lostWrite : route.Kind switch
                {
                    RouteKind.Gone => s_gone,
                    RouteKind.Remote => s_unreachable,
                    RouteKind.NotReady => s_notReady,
                    _ => s_leaderless,
                });
            }
        }
    }

    private void FlushOutgoing(Execution execution)
    {
        // What runs here on the way may have more sent: the walk takes that in, too.
        int kept = 0;
        for (int i = 0; i < _dirty.Count; i++)
        {
            OutgoingStream stream = _dirty[i];
            stream.IsDirty = false;
            while (stream.HasUnsent)
            {
                if (TryFlush(execution, stream))
                    continue;
                stream.IsDirty = true;
                _dirty[kept++] = stream;
                break;
            }
        }

        _dirty.RemoveRange(kept, _dirty.Count - kept);
        _hasUnsent = false;
    }

    /// <summary>False: its node takes nothing more for now.</summary>
    private bool TryFlush(Execution execution, OutgoingStream stream)
    {
        NodeId to = stream.Key.Peer;
        if (to == Self)
        {
            MessageBuffer message = MessageBuffer.Copy(stream.Frame());
            stream.Sent();
            Take(execution, Self, message.Bytes);
            message.Dispose();
            return true;
        }

        PeerState peer = Peer(to);
        if (peer.IsFull)
            return false;
        switch (_transport.Send(to, stream.Frame(), more: true))
        {
            case SendOutcome.Queued:
                _hasSent = true;
                stream.Sent();
                return true;
            case SendOutcome.Full:
                peer.IsFull = true;
                return false;
            default:
                peer.IsReachable = false;
                Break(stream);
                return true;
        }
    }

    private void TakeReplies(NodeId from, in StreamFrame frame, ReadOnlySpan<byte> bytes)
    {
        if (!_byId.TryGetValue(frame.Stream, out OutgoingStream? stream) || stream.Key.Peer != from)
            return;
        if (!stream.Receive(this, frame, bytes) || (stream.EndsWhenAnswered && stream.Count == 0))
            Break(stream);
    }

    private void BreakOutgoing(NodeId peer)
    {
        for (int i = _streams.Count - 1; i >= 0; i--)
        {
            if (_streams[i].Key.Peer == peer)
                Break(_streams[i]);
        }
    }

    /// <summary>
    /// Ends a stream. What was sent and may write has an unknown outcome, unless its node has refused it: it is sent again under the
    /// number that it had, by which the next leader knows whether it has happened. The rest did not happen, or makes no
    /// difference: it is sent again, in order, but for reads that could see a later write of their own client.
    /// </summary>
    private void Break(OutgoingStream stream)
    {
        _outgoing.Remove(stream.Key);
        _byId.Remove(stream.Id);
        _streams.Remove(stream);
        NodeId peer = stream.Key.Peer;
        if (stream.Key.Lane is { } lane)
            lane.IsBroken = true;
        _broken.Clear();
        stream.TakeAll(_broken);
        if (peer == Self)
            EndIncoming(Self, stream.Id);
        else if (CanReach(peer))
            _transport.Send(peer, stream.End());
        NoteOvertaken(stream.IsRefused);
        foreach ((SentRequest request, bool wasSent) in _broken.ToArray())
        {
            Settled(peer, request);
            if (request.Lane is not null && (!wasSent || stream.IsRefused || !request.Writes))
                request.Answer(NotRun(request));
            else if (!wasSent || stream.IsRefused)
                Park(request);
            else if (request.Writes)
                AgainUnknown(request);
            else if (!request.IsOvertaken && NowMs < request.DeadlineMs)
                Park(request);
            else
                request.Answer(s_lostRead);
        }

        _broken.Clear();
        _hasUnsent |= _parked.Count != 0;
    }

    private void AgainUnknown(SentRequest request)
    {
        request.IsUnknown = true;
        if (request.Lane is null && NowMs < request.DeadlineMs)
            Park(request);
        else
            request.Answer(s_lostWrite);
    }

    /// <summary>What is said of a request on a lane that has not happened: a block has met a change of what it watched, perhaps.</summary>
    private static byte[] NotRun(SentRequest request) =>
        request.RepliesBefore == 0 ? s_lostWatch : request.Protocol == 2 ? s_notRun2 : s_notRun3;

    /// <summary>Which of the broken stream's requests come before a write of the same client that may have happened.</summary>
    private void NoteOvertaken(bool isRefused)
    {
        _wrote.Clear();
        for (int i = _broken.Count - 1; i >= 0 && !isRefused; i--)
        {
            (SentRequest request, bool wasSent) = _broken[i];
            if (request.Session is not { } session)
                continue;
            request.IsOvertaken = _wrote.Contains(session);
            if (wasSent && request.Writes)
                _wrote.Add(session);
        }
    }

    /// <summary>
    /// A leader that hangs answers nothing and closes nothing: when another has taken its place, or nobody knows of any for
    /// long, it is not waited for.
    /// </summary>
    private void BreakStale()
    {
        long nowMs = NowMs;
        if (_owed == 0 || nowMs - _staleLookMs < StaleLookMs)
            return;
        _staleLookMs = nowMs;
        for (int i = _streams.Count - 1; i >= 0; i--)
        {
            OutgoingStream stream = _streams[i];
            Route route = stream.Count == 0 ? default : _router.Route(stream.Key.Group);
            bool leads = route.Kind switch
            {
                RouteKind.Remote => Hinted(route.Group, route.Leader) == stream.Key.Peer,
                RouteKind.Local or RouteKind.NotReady => stream.Key.Peer == Self,
                _ => false,
            };
            if (stream.Count == 0 || leads)
            {
                stream.StaleSinceMs = 0;
                continue;
            }

            if (stream.StaleSinceMs == 0)
                stream.StaleSinceMs = nowMs;
            long patienceMs = route.Kind is RouteKind.Remote or RouteKind.Local or RouteKind.NotReady ? StaleMs : Math.Max(PatienceMs, StaleMs);
            if (nowMs - stream.StaleSinceMs >= patienceMs)
                Break(stream);
        }
    }
}
