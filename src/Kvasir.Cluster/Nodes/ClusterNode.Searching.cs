using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// A member that hears nothing of the directory any more asks where it is. While it was cut off the directory may have moved to nodes
/// that it never heard of, at addresses that were others' when it heard last: it knows nobody who would speak with it, and nobody
/// who leads knows more of it than that it is silent.
/// </summary>
public sealed partial class ClusterNode
{
    // Elections take less.
    private static readonly TimeSpan s_lostAfter = TimeSpan.FromSeconds(3);

    // Inside the mailbox, like all below.
    private readonly SortedSet<string> _foreignSeeds = new(StringComparer.Ordinal);
    private TimeSpan _directoryHeardAt;
    private bool _hasAskedSeeds;

    /// <summary>For some seconds.</summary>
    private bool HearsNothing => _host is { } host && host.Now() - _directoryHeardAt >= s_lostAfter;

    /// <summary>Asks one after another, seeds and those it knows of, until the directory is heard of.</summary>
    private void SearchDirectory()
    {
        RaftGroup directory = _directory!;
        if (directory.IsServing || (!directory.Leader.IsNone && directory.TryAge(out TimeSpan age) && age < s_lostAfter))
        {
            _directoryHeardAt = _host!.Now();
            return;
        }

        // Who has not announced itself yet asks the same in doing so.
        if (!HearsNothing || !_isAnnounced || _isCalling || directory.IsOut || Time.GetElapsedTime(_announcedAt) < s_announcePause
            || !TryNextToAsk(out PeerAddress address))
            return;
        _announcedAt = Time.GetTimestamp();
        var request = new BytesBuffer();
        DirectoryCallCodec.Write(request, new WhereaboutsRequest(_membership!.Value.Cluster, Self));
        _isCalling = true;
        Transport.Call(address with { Node = NodeId.None }, request.WrittenSpan, s_callPatience, answer => Mailbox.Post(new ActionItem(_ => ToldWhereabouts(answer))));
    }

    /// <summary>
    /// A member that was told of others looks once whether they are of its cluster: one that serves without them would never notice.
    /// </summary>
    private void AskSeeds()
    {
        if (_hasAskedSeeds || _membership is not { } membership)
            return;
        _hasAskedSeeds = true;
        var request = new BytesBuffer();
        DirectoryCallCodec.Write(request, new WhereaboutsRequest(membership.Cluster, Self));
        foreach (PeerAddress seed in _options.Seeds)
            Transport.Call(seed, request.WrittenSpan, s_callPatience, answer => Mailbox.Post(new ActionItem(_ => TakeNoteOfForeign(seed, answer))));
    }

    /// <summary>One address may have become another's since it was written down; all of them are a mistake, of the folder or of the addresses.</summary>
    private void TakeNoteOfForeign(PeerAddress asked, CallReply answer)
    {
        if (_disposed || answer.Outcome != CallOutcome.Foreign || !_options.Seeds.Contains(asked) || !_foreignSeeds.Add(asked.ToString()))
            return;
        if (_foreignSeeds.Count == _options.Seeds.Select(static s => s.ToString()).Distinct(StringComparer.Ordinal).Count())
            Refuse($"the folder is of another cluster than the addresses to join: {asked}: {answer.Reason}; give it addresses of its own cluster, or another folder");
        else
            Warn($"{asked}, which was given as an address to join, is of another cluster: {answer.Reason}");
    }

    private void ToldWhereabouts(CallReply answer)
    {
        _isCalling = false;
        if (_disposed || answer.Outcome != CallOutcome.Answered || !DirectoryCallCodec.TryRead(answer.Bytes.Span, out JoinReply? reply)
            || reply.ClusterId != _membership!.Value.Cluster)
            return;
        if (reply.Outcome == JoinOutcome.Refused)
        {
            Refuse(reply.Text);
            return;
        }

        LearnFrom(reply);
        if (reply.Outcome == JoinOutcome.Redirect)
            Redirect(reply.Text);
    }

    /// <summary>
    /// Where others say that everybody is: all of it while nothing better is known. Who hears nothing of the directory that it heard of
    /// believes whoever does; of others it takes what is new, for they may know less of the rest.
    /// </summary>
    private void LearnFrom(JoinReply reply)
    {
        if (!_arrangedFresh || (HearsNothing && reply.Outcome is JoinOutcome.Accepted or JoinOutcome.Redirect))
            Learn(reply.Nodes);
        else if (HearsNothing)
            Learn([.. reply.Nodes.Where(n => !_peers.ContainsKey(n.Node))]);
    }

    private void AskedForWhereabouts(CallTicket call, WhereaboutsRequest request)
    {
        bool leads = _directory is { IsServing: true } && _membership is { } membership && membership.Cluster == request.ClusterId;
        if (leads && View.Node(request.Node) is { } asker && !View.IsMember(asker))
            Reply(call, JoinReply.Refuse($"node {request.Node} was decommissioned, and nothing of it is needed any more") with { ClusterId = request.ClusterId });
        else
            Reply(call, leads ? JoinReply.Accept(View, request.Node) : WhoLeads());
    }
}
