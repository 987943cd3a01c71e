using System.Text;
using Kvasir.Server.Tests.Commands;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>A client of one node, which waits as long as its node lets it.</summary>
internal sealed class ClusterClient(ClusterInMemory cluster, int node)
{
    public SessionPeer Peer { get; } = cluster[node].Connect();

    /// <summary>Sends lines together and returns what comes back while messages travel, without time going by.</summary>
    public string Send(params string[] lines)
    {
        string replies = Encoding.Latin1.GetString(Peer.Send(Encoding.Latin1.GetBytes(string.Concat(lines.Select(l => l + "\r\n")))));
        cluster.Pump();
        return replies + Receive();
    }

    public string Receive()
    {
        StringBuilder replies = new();
        while (true)
        {
            byte[] more = Peer.Receive();
            if (more.Length == 0)
                return replies.ToString();
            replies.Append(Encoding.Latin1.GetString(more));
        }
    }

    /// <summary>As an event loop does for a session that is suspended: looks again, every few milliseconds.</summary>
    public string Wait(int milliseconds)
    {
        StringBuilder replies = new();
        for (int i = 0; i < milliseconds; i += 5)
        {
            cluster.Advance(5);
            if (Peer.Session.Suspended is not null || Peer.Session.HasMore)
            {
                Peer.Session.Execute();
                Peer.Session.Input.TakeBack();
            }

            replies.Append(Receive());
        }

        cluster.Pump();
        replies.Append(Receive());
        return replies.ToString();
    }
}
