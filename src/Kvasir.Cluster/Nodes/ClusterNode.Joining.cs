using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>How a node gets its number, and says where it is; and how others get theirs from the directory's leader.</summary>
public sealed partial class ClusterNode
{
    private static readonly TimeSpan s_callPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_announcePause = TimeSpan.FromMilliseconds(500);

    // Inside the mailbox, like all below.
    private bool _isAnnounced;
    private bool _isCalling;
    private int _nextSeed;
    private readonly SortedSet<string> _saidOfJoining = new(StringComparer.Ordinal);
    private string _redirect = "";
    private long _announcedAt;

    /// <summary>
    /// Asks to be let in, or, as a member, says that it is here and where. Again and again until somebody has written it down.
    /// </summary>
    private void Announce(Execution execution)
    {
        if (_isAnnounced || _isCalling || Refused is not null || Time.GetElapsedTime(_announcedAt) < s_announcePause)
            return;
        _announcedAt = Time.GetTimestamp();
        if (_directory is { IsServing: true })
        {
            AnnounceToItself(execution);
            return;
        }

        if (!TryNextToAsk(out PeerAddress address))
            return;
        var request = new BytesBuffer();
        DirectoryCallCodec.Write(request, Describe());
        _isCalling = true;
        Transport.Call(address, request.WrittenSpan, s_callPatience, reply => Mailbox.Post(new ActionItem(_ => Announced(address, reply))));
    }

    private JoinRequest Describe() => new()
    {
        Identity = _identity.Id,
        Node = Self,
        ClusterId = _membership?.Cluster ?? 0,
        PeerAddress = _options.PeerAddress,
        RespAddress = _options.RespAddress,
        HttpAddress = _options.HttpAddress,
        Locality = _options.Locality,
    };

    /// <summary>The first leader of a cluster's directory writes down that there is one.</summary>
    private void AnnounceToItself(Execution execution)
    {
        _isCalling = true;
        _desk!.Ask(
            execution,
            view => view.Cluster is not null ? DirectoryOperations.Join(view, Describe(), out _) : DirectoryOperations.Found(new FoundRequest
            {
                ClusterId = _membership!.Value.Cluster,
                Node = Describe(),
                Databases = _options.DatabaseCount,
                ShardsPerDatabase = _options.ShardsPerDatabase,
                Replicas = _options.Replicas,
                Engine = _options.Engine,
                DatabaseEngines = _options.DatabaseEngines,
            }),
            (outcome, refusal) =>
            {
                _isCalling = false;
                _isAnnounced = outcome == DeskOutcome.Done;
                if (outcome == DeskOutcome.Refused)
                    Warn($"the directory does not take this node as it is: {refusal}");
            });
    }

    /// <summary>Where the last one sent us; else the directory's leader, where that is known; else seeds and members in turn.</summary>
    private bool TryNextToAsk(out PeerAddress address)
    {
        string redirect = _redirect;
        _redirect = "";
        if (redirect.Length > 0 && PeerAddress.TryParse(redirect, NodeId.None, out address))
            return true;
        List<PeerAddress> known = [.. _options.Seeds];
        if (_directory is { Leader.IsNone: false } directory && directory.Leader != Self && View.Node(directory.Leader) is { } leader
            && PeerAddress.TryParse(leader.PeerAddress, leader.Id, out PeerAddress leaderAddress))
            known.Insert(0, leaderAddress);

        // Whoever is there now: another node may live at the address of one that is gone.
        known.AddRange(KnownPeers().Select(static p => p with { Node = NodeId.None }));
        address = known.Count == 0 ? default : known[_nextSeed++ % known.Count];
        return known.Count > 0;
    }

    private void Announced(PeerAddress asked, CallReply answer)
    {
        _isCalling = false;
        if (_membership is null && !_disposed)
            SayWhyNot(asked, answer);
        TakeNoteOfForeign(asked, answer);
        if (_disposed || answer.Outcome != CallOutcome.Answered || !DirectoryCallCodec.TryRead(answer.Bytes.Span, out JoinReply? reply))
            return;
        if (reply.Outcome != JoinOutcome.Accepted && _membership is { } member && member.Cluster == reply.ClusterId)
            LearnFrom(reply);
        switch (reply.Outcome)
        {
            case JoinOutcome.Accepted:
                Accepted(reply);
                break;
            case JoinOutcome.Redirect:
                Redirect(reply.Text);
                break;
            case JoinOutcome.Refused:
                Refuse($"{asked} does not let this node in: {reply.Text}");
                break;
        }
    }

    /// <summary>Somebody else is asked at once; others may take this node for the leader before it serves as one, and it has nothing to ask itself.</summary>
    private void Redirect(string address)
    {
        if (address != _options.PeerAddress)
            (_redirect, _announcedAt) = (address, 0);
    }

    /// <summary>Whoever waits for a node to join wants to know what it waits for; once for each reason.</summary>
    private void SayWhyNot(PeerAddress asked, CallReply answer)
    {
        // At the very start nobody listens yet.
        if (answer.Outcome != CallOutcome.Answered && (Warner ?? Announcer) is not null && _saidOfJoining.Add($"{asked} {answer.Reason}"))
            Warn($"not in the cluster yet: {asked}: {answer.Reason}; it is tried again");
    }

    private void Accepted(JoinReply reply)
    {
        _isAnnounced = true;
        if (_membership is null)
        {
            Enlist(new ClusterMembership(reply.ClusterId, reply.Node, IsFounder: false));
            Announcer?.Invoke($"joined the cluster as node {reply.Node}");
            Serve(_membership!.Value);
        }

        // The directory's own list follows.
        LearnFrom(reply);
    }

    /// <summary>Somebody, perhaps from outside, asks the directory; only its leader can answer.</summary>
    void ITransportListener.Called(CallTicket call, ReadOnlySpan<byte> request)
    {
        DirectoryCallKind kind = DirectoryCallCodec.KindOf(request);
        if (kind == DirectoryCallKind.JoinRequest && DirectoryCallCodec.TryRead(request, out JoinRequest? join))
            Mailbox.Post(new ActionItem(execution => AskedToJoin(execution, call, join)));
        else if (kind == DirectoryCallKind.WhereaboutsRequest && DirectoryCallCodec.TryRead(request, out WhereaboutsRequest whereabouts))
            Mailbox.Post(new ActionItem(_ => AskedForWhereabouts(call, whereabouts)));
        else if (DirectoryCallCodec.TryReadMoveRequest(request, out string? keyspace))
            Mailbox.Post(new ActionItem(_ => AskedForMove(call, keyspace)));
        else if (AdministrationCall.TryRead(request, out AdministrationCall? administration))
            Mailbox.Post(new ActionItem(execution => Asked(execution, administration, error => Transport.Answer(call, AdministrationCall.WriteReply(error)))));
        else
            throw new MalformedMessageException("a question that nobody understands");
    }

    private void AskedToJoin(Execution execution, CallTicket call, JoinRequest request)
    {
        if (_directory is not { IsServing: true } || _desk is null)
        {
            // A member that is back, perhaps elsewhere: without it there may never be a leader to say so.
            if (_membership is { } membership && request.ClusterId == membership.Cluster && _peers.ContainsKey(request.Node)
                && (View.Node(request.Node) is not { } record || record.Identity == request.Identity))
                Learn([new NodeAddress(request.Node, request.PeerAddress)]);
            Reply(call, WhoLeads());
            return;
        }

        NodeId id = NodeId.None;
        _desk.Ask(
            execution,
            view =>
            {
                if (view.Cluster is null)
                    return DirectoryDecision.Refuse("the cluster is being founded");
                return DirectoryOperations.Join(view, request, out id);
            },
            (outcome, refusal) => Reply(call, outcome switch
            {
                DeskOutcome.Done => JoinReply.Accept(View, id),
                DeskOutcome.Refused when View.Cluster is not null => JoinReply.Refuse(refusal ?? "no reason is known"),
                _ => JoinReply.PutOff("leadership of the directory was lost, or it is being founded"),
            }));
    }

    /// <summary>For whoever asks somebody that does not lead the directory.</summary>
    private JoinReply WhoLeads()
    {
        JoinReply reply = _directory is { Leader: { IsNone: false } leader } && leader != Self && View.Node(leader) is { } node
            ? JoinReply.Redirect(node.PeerAddress)
            : JoinReply.PutOff("nobody leads the directory at the moment");
        return reply with { ClusterId = _membership?.Cluster ?? 0, Nodes = Neighbours() };
    }

    private void Reply(CallTicket call, JoinReply reply)
    {
        var bytes = new BytesBuffer();
        DirectoryCallCodec.Write(bytes, reply);
        Transport.Answer(call, bytes.WrittenSpan);
    }

    /// <summary>Leaders of groups tell the directory's leader how far they are, and nodes what is stopped there.</summary>
    private void ReceivedReports(NodeId from, ReadOnlySpan<byte> message)
    {
        if (DirectoryCallCodec.KindOf(message) == DirectoryCallKind.StoppedCopies && DirectoryCallCodec.TryRead(message, out IReadOnlyList<StoppedCopy>? copies))
        {
            Mailbox.Post(new ActionItem(_ => TakeNoteOfStopped(from, copies)));
            return;
        }

        if (DirectoryCallCodec.KindOf(message) == DirectoryCallKind.MoveReports && DirectoryCallCodec.TryRead(message, out IReadOnlyList<MoveReport>? moves))
        {
            Mailbox.Post(new ActionItem(_ => TakeNoteOfMoves(from, moves)));
            return;
        }

        if (!DirectoryCallCodec.TryRead(message, out IReadOnlyList<GroupReport>? reports))
            throw new MalformedMessageException("reports of groups that make no sense");
        Mailbox.Post(new ActionItem(execution => Settle(execution, reports)));
    }

    private void Settle(Execution execution, IReadOnlyList<GroupReport> reports)
    {
        if (_directory is { IsServing: true })
            _desk!.Ask(execution, view => DirectoryOperations.Settle(view, reports), static (_, _) => { });
    }
}
