using Kvasir.Cluster.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Peers;

/// <content>How two nodes find out whether they belong together, and agree on their link.</content>
internal sealed partial class PeerLoop
{
    private const long SameRefusalMs = 30_000;

    private const int RefusalsRemembered = 32;

    // What was told of last, and when: several may be refused in turn, each for its reason.
    private readonly SortedDictionary<string, long> _refusals = new(StringComparer.Ordinal);

    /// <summary>This node is a member now, with a number.</summary>
    public void Identify(ulong cluster, NodeId self)
    {
        _cluster = cluster;
        Volatile.Write(ref _self, self.Value);
        Volatile.Write(ref _peers, [.. _peers.Where(p => p.Id != self)]);
        SweepBy(_nowMs);
    }

    public void SetPeers(PeerAddress[] addresses)
    {
        _peersAreSet = true;
        KnownPeer[] before = _peers;
        SortedDictionary<NodeId, KnownPeer> peers = [];
        foreach (PeerAddress address in addresses)
        {
            if (address.Node.IsNone || address.Node.Value == _self)
                continue;
            KnownPeer peer = Find(address.Node) ?? new KnownPeer(address.Node);
            peers[address.Node] = peer;
            if (peer.Address == address)
                continue;
            bool moved = peer.Address is not null;
            peer.Address = address;
            peer.Failures = 0;
            if (moved && peer.Attempt is { } attempt)
                Close(attempt, "it is somewhere else");
            peer.NextAttemptMs = 0;
        }

        KnownPeer[] missing = [.. before.Where(p => !peers.ContainsKey(p.Id))];
        lock (_statisticsLock)
        {
            foreach (KnownPeer gone in missing)
                _gone += gone.Counters.Read(queuedBytes: 0);
            Volatile.Write(ref _peers, [.. peers.Values]);
        }

        foreach (KnownPeer gone in missing)
        {
            if (gone.Attempt is { } attempt)
                Close(attempt, "it is no longer a node of the cluster");
            if (gone.Link is { } link)
                Close(link, "it is no longer a node of the cluster");
        }

        SweepBy(_nowMs);
    }

    private void TakeHello(PeerConnection connection, ReadOnlySpan<byte> frame)
    {
        if (!PeerHello.TryRead(frame, out PeerHello hello))
        {
            Malformed(connection, "a greeting that is none");
            return;
        }

        ushort version = PeerProtocol.Common(hello.OldestVersion, hello.NewestVersion);
        if (Objection(hello, version) is { } objection)
        {
            Refuse(connection, objection.Reason, objection.Text);
            return;
        }

        if (hello.Purpose == PeerPurpose.Call)
        {
            Greet(connection, PeerStage.AwaitsCall);
            Welcome(connection, version);
            return;
        }

        KnownPeer? peer = Find(new NodeId(hello.Node));
        if (peer is null)
        {
            peer = new KnownPeer(new NodeId(hello.Node));
            Volatile.Write(ref _peers, [.. _peers.Append(peer).OrderBy(static p => p.Id)]);
        }

        connection.Peer = peer;
        connection.Incarnation = hello.Incarnation;
        bool chooses = _self < hello.Node;
        if (chooses && peer.Link is { } link && link.Incarnation == hello.Incarnation && link.Link != hello.LastLink)
        {
            // It began before it knew of the link that there is. Had it lost that one, it would have named it.
            Refuse(connection, PeerRefusalReason.Duplicate, "there is a link already");
            return;
        }

        Greet(connection, PeerStage.AwaitsOpen);
        Welcome(connection, version);
        if (chooses)
            Open(connection);
    }

    /// <summary>Why there will be no connection; null: there is no reason.</summary>
    private PeerRefusal? Objection(in PeerHello hello, ushort version)
    {
        if (version == 0)
        {
            return Objection(
                PeerRefusalReason.NoCommonVersion,
                $"it speaks versions {hello.OldestVersion} to {hello.NewestVersion} of the protocol, this node {PeerProtocol.OldestVersion} to {PeerProtocol.NewestVersion}");
        }

        if (hello.Incarnation == _incarnation)
            return Objection(PeerRefusalReason.Itself, "it is this node itself");
        bool isCall = hello.Purpose == PeerPurpose.Call;
        if (!isCall && (hello.Purpose != PeerPurpose.Link || hello.Node == 0 || hello.Expected == 0))
            return Objection(PeerRefusalReason.Malformed, "a greeting that does not say who connects to whom, or for what");
        if (_self == 0 && (!isCall || hello.Expected != 0))
            return Objection(PeerRefusalReason.NoMember, "this node belongs to no cluster yet");
        if (hello.Cluster != _cluster && !(isCall && (hello.Cluster == 0 || _cluster == 0)))
            return Objection(PeerRefusalReason.WrongCluster, $"it belongs to cluster {hello.Cluster:x16}, this node to {_cluster:x16}");
        if (hello.Expected != 0 && hello.Expected != _self)
            return Objection(PeerRefusalReason.WrongNode, $"it expects node {hello.Expected}, this is node {_self}");
        if (isCall)
            return null;
        if (hello.Node == _self)
            return Objection(PeerRefusalReason.SameNode, $"it says that it is node {_self}, as this one is: one folder must have been copied");
        if (_peersAreSet && Find(new NodeId(hello.Node)) is null)
            return Objection(PeerRefusalReason.UnknownNode, $"node {hello.Node} is not known here as one of the cluster");
        return null;
    }

    private PeerRefusal Objection(PeerRefusalReason reason, string text) => new(reason, _self, text);

    private void Greet(PeerConnection connection, PeerStage next)
    {
        if (connection.IsStranger)
            _strangers--;
        connection.Stage = next;
        connection.DeadlineMs = _nowMs + (long)_options.GreetingMax.TotalMilliseconds;
        SweepBy(connection.DeadlineMs);
    }

    private void Welcome(PeerConnection connection, ushort version)
    {
        Span<byte> greeting = stackalloc byte[PeerProtocol.Magic.Length + PeerWelcome.FrameBytes];
        PeerProtocol.Magic.CopyTo(greeting);
        new PeerWelcome { Version = version, Cluster = _cluster, Node = _self, Incarnation = _incarnation }
            .Write(greeting[PeerProtocol.Magic.Length..]);
        connection.Output.AddRaw(greeting);
    }

    private void TakeWelcome(PeerConnection connection, ReadOnlySpan<byte> frame)
    {
        if (!PeerWelcome.TryRead(frame, out PeerWelcome welcome) || welcome.Version is < PeerProtocol.OldestVersion or > PeerProtocol.NewestVersion)
        {
            Malformed(connection, "a greeting that is none");
            return;
        }

        if (connection.Call is not null)
        {
            Ask(connection);
            return;
        }

        KnownPeer peer = connection.Peer!;
        if (welcome.Cluster != _cluster || welcome.Node != peer.Id.Value)
        {
            Close(connection, $"node {welcome.Node} of cluster {welcome.Cluster:x16} is there");
            return;
        }

        connection.Incarnation = welcome.Incarnation;
        Greet(connection, PeerStage.AwaitsOpen);
        if (_self < peer.Id.Value)
            Open(connection);
    }

    /// <summary>This node chooses the connection for the link.</summary>
    private void Open(PeerConnection connection)
    {
        Span<byte> frame = stackalloc byte[PeerOpen.FrameBytes];
        PeerOpen open = new(++_lastLink);
        open.Write(frame);
        connection.Output.AddRaw(frame);
        Establish(connection, open.Link);
    }

    /// <summary>The other node has chosen it.</summary>
    private void TakeOpen(PeerConnection connection, ReadOnlySpan<byte> frame)
    {
        KnownPeer peer = connection.Peer!;
        if (_self < peer.Id.Value || !PeerOpen.TryRead(frame, out PeerOpen open))
        {
            Malformed(connection, "a choice that is not its own");
            return;
        }

        // What was chosen first may be heard of last.
        if (peer.LastIncarnation == connection.Incarnation && open.Link <= peer.LastLink)
            Close(connection, "another connection was chosen after it");
        else if (Find(peer.Id) != peer)
            Close(connection, "it is no longer a node of the cluster");
        else
            Establish(connection, open.Link);
    }

    private void Establish(PeerConnection connection, ulong link)
    {
        KnownPeer peer = connection.Peer!;
        PeerConnection? attempt = peer.Attempt;
        peer.Attempt = null;
        if (attempt is not null && attempt != connection)
            Close(attempt, "another connection came first");
        if (peer.Link is { } before)
            Close(before, "a new connection takes its place");
        connection.Stage = PeerStage.Linked;
        connection.DeadlineMs = long.MaxValue;
        connection.Link = link;
        connection.HeardMs = _nowMs;
        connection.Input.Trust();
        (peer.LastLink, peer.LastIncarnation, peer.LinkedMs, peer.LastTrouble, peer.StrangeSinceMs) = (link, connection.Incarnation, _nowMs, null, 0);
        peer.Counters.Linked();
        SweepBy(_nowMs + (long)_options.SilenceMax.TotalMilliseconds);
        peer.Link = connection;
        PeerLog.Connected(_logger, peer.Id.Value, connection.Remote);
        _listener.Connected(peer.Id);
    }

    private void TakeRefusal(PeerConnection connection, ReadOnlySpan<byte> frame)
    {
        if (!PeerRefusal.TryRead(frame, out PeerRefusal refusal))
        {
            Malformed(connection, "a refusal that is none");
            return;
        }

        string reason = $"it refuses: {Printable(refusal.Text)}";
        if (connection.Call is { } call)
        {
            connection.Call = null;
            CallOutcome outcome = refusal.Reason == PeerRefusalReason.WrongCluster ? CallOutcome.Foreign : CallOutcome.Failed;
            call.Done(new CallReply(outcome, default, reason));
        }
        else if (refusal.Reason == PeerRefusalReason.Duplicate && connection.Peer is { } peer && peer.Attempt == connection)
        {
            // All is well: the other connection is about to be chosen, or was. Only a pause, and nothing to tell of.
            peer.Attempt = null;
            BackOff(peer);
        }
        else if (connection.Peer is { } stranger && stranger.Attempt == connection && IsNotKnownYet(stranger, refusal.Reason))
        {
            stranger.Attempt = null;
            BackOff(stranger);
        }

        Close(connection, reason);
    }

    private bool IsNotKnownYet(KnownPeer peer, PeerRefusalReason reason)
    {
        if (reason is not (PeerRefusalReason.NoMember or PeerRefusalReason.UnknownNode))
            return false;
        if (peer.StrangeSinceMs == 0)
            peer.StrangeSinceMs = _nowMs;
        return _nowMs - peer.StrangeSinceMs < _options.AcquaintanceMax.TotalMilliseconds;
    }

    private void Refuse(PeerConnection connection, PeerRefusalReason reason, string text)
    {
        // Of itself the one that connected tells, which is this one.
        if (reason is not (PeerRefusalReason.Duplicate or PeerRefusalReason.NoMember or PeerRefusalReason.UnknownNode or PeerRefusalReason.Itself))
            LogRefusal(connection.Remote, text);
        if (connection.Stage == PeerStage.AwaitsHello)
            connection.Output.AddRaw(PeerProtocol.Magic);
        connection.Output.AddRaw(new PeerRefusal(reason, _self, text).ToFrame());
        Close(connection, text);
    }

    /// <summary>Whoever is refused comes again and again: the same is told twice a minute.</summary>
    private void LogRefusal(string remote, string text)
    {
        if (_refusals.TryGetValue(text, out long toldMs) && _nowMs - toldMs < SameRefusalMs)
            return;
        if (_refusals.Count >= RefusalsRemembered)
            _refusals.Clear();
        _refusals[text] = _nowMs;
        PeerLog.Refused(_logger, remote, text);
    }

    /// <summary>Others' words go to our log: without what a terminal would take for a command.</summary>
    private static string Printable(string text) => string.Concat(text.Select(static c => char.IsControl(c) ? ' ' : c));
}
