using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Nodes;

/// <summary>Whoever asked for a change of the directory is answered when it can be seen.</summary>
public sealed partial class ClusterNode
{
    // A node that is connected and says nothing holds up nobody for longer.
    private static readonly TimeSpan s_newsPatience = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Answered when no node that can be asked has it any more: who is told that it is gone does not find it elsewhere. The other way round
    /// nobody need be asked: a node that has not heard of a keyspace finds out before it says so.
    /// </summary>
    void IClusterAdministration.DropKeyspace(string name, Action<string?> done)
    {
        KeyspaceId id = View.KeyspaceByName(name)?.Record.Id ?? default;
        PostAdministration(
            new AdministrationCall(AdministrationVerb.DropKeyspace, [name]), error => AwaitNews(error, () => IsGone(name, id), outcome =>
            {
                if (outcome is null)
                    AwaitDropElsewhere(name, id, done);
                else
                    done(outcome);
            }));
    }

    /// <summary>As the directory's leader, or as any node that is asked what it knows.</summary>
    private void Asked(Execution execution, AdministrationCall call, Action<string?> done)
    {
        if (call.Verb != AdministrationVerb.AwaitDrop)
            Administrate(execution, call, done);
        else if (call.Words is [{ } name, { } number] && uint.TryParse(number, CultureInfo.InvariantCulture, out uint id))
            AwaitNews(null, () => IsGone(name, new KeyspaceId(id)), done);
        else
            done("ERR a keyspace's name and number are wanted");
    }

    private void AwaitDropElsewhere(string name, KeyspaceId id, Action<string?> done)
    {
        byte[] call = new AdministrationCall(AdministrationVerb.AwaitDrop, [name, id.Value.ToString(CultureInfo.InvariantCulture)]).ToBytes();

        // One for itself: nobody may be there to be asked, and an answer may come at once.
        int left = 1;
        foreach (NodeRecord node in View.Nodes)
        {
            if (node.Id == Self || !_reachable.ContainsKey(node.Id) || !PeerAddress.TryParse(node.PeerAddress, node.Id, out PeerAddress address))
                continue;
            left++;
            Transport.Call(address, call, s_newsPatience, _ => Mailbox.Post(new ActionItem(_ => Answered())));
        }

        Answered();

        // What became of the drop is certain: whoever does not answer finds out by itself.
        void Answered()
        {
            if (--left == 0)
                done(null);
        }
    }

    private bool IsGone(string name, KeyspaceId id) =>
        !IsThere(name) || (id != default && View.KeyspaceByName(name) is { } keyspace && keyspace.Record.Id != id);

    /// <summary>Whoever asked this node finds here what it has asked for, as soon as it hears that it is done.</summary>
    private void AwaitNews(string? error, Func<bool> hasCome, Action<string?> done)
    {
        if (error is not null)
        {
            done(error);
            return;
        }

        _awaitedNews.Add((hasCome, Time.GetTimestamp(), done));
        LookAfterNews();
    }

    private void LookAfterNews()
    {
        for (int i = _awaitedNews.Count - 1; i >= 0; i--)
        {
            (Func<bool> hasCome, long since, Action<string?> done) = _awaitedNews[i];
            if (!hasCome() && Time.GetElapsedTime(since) < s_administrationPatience)
                continue;
            _awaitedNews.RemoveAt(i);
            done(null);
        }
    }

    private bool IsThere(string keyspace) => _router.FindDatabase(Encoding.UTF8.GetBytes(keyspace)) >= 0;
}
