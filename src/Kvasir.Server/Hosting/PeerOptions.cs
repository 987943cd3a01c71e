using System.Net;
using Kvasir.Cluster.Directory;
using Kvasir.Server.Peers;

namespace Kvasir.Server.Hosting;

/// <summary>What makes a server a node of a cluster.</summary>
/// <param name="Listen">Where other nodes connect.</param>
public sealed record PeerOptions(IPEndPoint Listen)
{
    /// <summary>Where other nodes reach this one; null: at <see cref="Listen"/>, as bound.</summary>
    public DnsEndPoint? Advertised { get; init; }

    /// <summary>Where clients are sent that are to ask this node; null: to its first RESP address, as bound.</summary>
    public DnsEndPoint? RespAdvertised { get; init; }

    /// <summary>
    /// Nodes of the cluster to join, of which one that answers is enough. None, and an empty folder: this node founds a
    /// cluster. A folder that belongs to a cluster stays in it, whatever stands here.
    /// </summary>
    public IReadOnlyList<DnsEndPoint> Seeds { get; init; } = [];

    /// <summary>Where the node stands, the widest place first; copies are spread over places.</summary>
    public Locality Locality { get; init; } = Locality.None;

    /// <summary>Null: nodes talk in the clear, and believe whoever connects.</summary>
    public PeerCertificateFiles? Tls { get; init; }

    /// <summary>Commands for keys that another node leads are answered with MOVED; otherwise they are passed on.</summary>
    public bool Redirects { get; init; }

    /// <summary>So long commands wait for a leader, or are sent again, before their clients hear of it.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// A node that is silent for so long is replaced, where this one leads the directory; <see cref="TimeSpan.MaxValue"/> for never.
    /// </summary>
    public TimeSpan DeadAfter { get; init; } = new UpkeepSettings().DeadAfter;

    /// <summary>What snapshots for other nodes may take of disk and network, all together.</summary>
    public long SnapshotBytesPerSecond { get; init; } = 128L << 20;
}
