using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Transport;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Where the other nodes are: the directory says so once it is known to be of now; until then, what the folder remembers, and
/// what others have said since.
/// </summary>
public sealed partial class ClusterNode
{
    // Inside the mailbox.
    private readonly SortedList<NodeId, string> _peers = [];
    private NodeAddress[] _remembered = [];

    /// <summary>This node speaks with it. Inside the mailbox.</summary>
    internal bool IsReachable(NodeId peer) => peer == Self || _reachable.ContainsKey(peer);

    /// <summary>At the start, before anybody is heard: from then on others are answered, which may be by another thread than that which starts the node.</summary>
    private void RecallPeers()
    {
        _remembered = [.. PeersFile.Read(Files, _options.Folder)];
        TakeNote(_remembered);
    }

    private void TellOfRecalledPeers()
    {
        if (_remembered.Length > 0)
            TellPeers();
    }

    /// <summary>
    /// Somebody has said where these are; it stands until the directory says otherwise. Whoever was at this node's own address is not there any
    /// more: its folder was emptied, and this node came of it, or all were given new addresses.
    /// </summary>
    private void Learn(IReadOnlyList<NodeAddress> peers)
    {
        if (TakeNote(peers))
            TellPeers();
    }

    /// <summary>Whether it is news.</summary>
    private bool TakeNote(IReadOnlyList<NodeAddress> peers)
    {
        bool isNews = false;
        foreach (NodeAddress peer in peers)
        {
            if (peer.Node == Self || peer.Node.IsNone || peer.PeerAddress == _options.PeerAddress || (_peers.TryGetValue(peer.Node, out string? known) && known == peer.PeerAddress))
                continue;
            _peers[peer.Node] = peer.PeerAddress;
            isNews = true;
        }

        return isNews;
    }

    /// <summary>What the directory says, all of it.</summary>
    private void FollowPeers(DirectoryView view, bool isFresh)
    {
        if (view.Cluster is null)
            return;
        NodeAddress[] said = [.. view.Nodes.Where(n => view.IsMember(n) && n.Id != Self && !view.IsReplaced(n)).Select(n => new NodeAddress(n.Id, n.PeerAddress))];
        if (!isFresh)
        {
            // It may be older than what was heard since.
            Learn([.. said.Where(p => !_peers.ContainsKey(p.Node))]);
            return;
        }

        if (!said.SequenceEqual(_peers.Select(static p => new NodeAddress(p.Key, p.Value))))
        {
            _peers.Clear();
            foreach (NodeAddress peer in said)
                _peers.Add(peer.Node, peer.PeerAddress);
            TellPeers();
        }

        Remember(said);
    }

    private void Remember(NodeAddress[] peers)
    {
        if (peers.SequenceEqual(_remembered))
            return;
        try
        {
            PeersFile.Write(Files, _options.Folder, peers);
            _remembered = peers;
        }
        catch (StorageException)
        {
            // A hint that is older than it could be.
        }
    }

    private void TellPeers() => Transport.SetPeers(KnownPeers());

    private List<PeerAddress> KnownPeers()
    {
        List<PeerAddress> peers = [];
        foreach ((NodeId node, string text) in _peers)
        {
            if (PeerAddress.TryParse(text, node, out PeerAddress address))
                peers.Add(address);
        }

        return peers;
    }

    /// <summary>This node and those it knows, for who asks and cannot be let in or helped further.</summary>
    private List<NodeAddress> Neighbours()
    {
        List<NodeAddress> all = [.. _peers.Select(static p => new NodeAddress(p.Key, p.Value))];
        if (!Self.IsNone)
            all.Add(new NodeAddress(Self, _options.PeerAddress));
        all.Sort(static (a, b) => a.Node.CompareTo(b.Node));
        return all;
    }
}
