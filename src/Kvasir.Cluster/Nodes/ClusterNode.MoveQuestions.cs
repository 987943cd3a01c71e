using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>What people ask of keyspaces that move to another engine: of any node, answered by the directory's leader where there is one.</summary>
public sealed partial class ClusterNode
{
    void IClusterAdministration.ConvertKeyspace(string name, string engine, Action<string?> done)
    {
        ulong before = View.KeyspaceByName(name)?.Record.Move?.Number ?? 0;
        PostAdministration(
            new AdministrationCall(AdministrationVerb.ConvertKeyspace, [name, engine]), error => AwaitNews(error, () => HasMoved(name, before), done));
    }

    void IClusterAdministration.AbortConversion(string name, Action<string?> done) =>
        PostAdministration(
            new AdministrationCall(AdministrationVerb.AbortConversion, [name]),
            error => AwaitNews(error, () => View.KeyspaceByName(name)?.Record.Move is not { State: KeyspaceMoveState.Moving }, done));

    void IClusterAdministration.ConversionOf(string name, Action<MoveOverview?> done) => Mailbox.Post(new ActionItem(_ =>
    {
        if (_directory is null or { IsServing: true } || _directory.Leader is var leader && (leader.IsNone || leader == Self || View.Node(leader) is null)
            || !PeerAddress.TryParse(View.Node(leader)!.PeerAddress, leader, out PeerAddress address))
        {
            done(OwnOverview(name));
            return;
        }

        var request = new BytesBuffer();
        DirectoryCallCodec.WriteMoveRequest(request, name);
        Transport.Call(address, request.WrittenSpan, s_administrationPatience, reply => Mailbox.Post(new ActionItem(_ =>
            done(reply.Outcome == CallOutcome.Answered && DirectoryCallCodec.TryRead(reply.Bytes.Span, out MoveOverview? overview) ? overview : OwnOverview(name)))));
    }));

    private bool HasMoved(string name, ulong before) => View.KeyspaceByName(name) is not { } keyspace || keyspace.Record.Move?.Number > before;

    /// <summary>The directory's leader has been told of all copies; anybody else knows what is wanted, and how it ended.</summary>
    private MoveOverview? OwnOverview(string name) =>
        View.KeyspaceByName(Encoding.UTF8.GetBytes(name)) is { } keyspace ? DirectoryOperations.Overview(keyspace, _moveReports) : null;

    private void AskedForMove(CallTicket call, string keyspace)
    {
        var reply = new BytesBuffer();
        DirectoryCallCodec.Write(reply, OwnOverview(keyspace));
        Transport.Answer(call, reply.WrittenSpan);
    }
}
