using System.Net;

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

    /// <summary>Where the node stands, the widest place first.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Locality { get; init; } = [];

    /// <summary>Null: nodes talk in the clear, and believe whoever connects.</summary>
    public PeerTlsFiles? Tls { get; init; }

    /// <summary>Commands for keys that another node leads are answered with MOVED; otherwise they are passed on.</summary>
    public bool Redirects { get; init; }
}

/// <summary>Nodes prove to each other who they are: whoever has no certificate of the authority is no peer.</summary>
/// <param name="Certificate">PEM file with the node's certificate and its chain.</param>
/// <param name="Key">PEM file with its private key.</param>
/// <param name="Authority">PEM file of the authority that every node's certificate comes from.</param>
public sealed record PeerTlsFiles(string Certificate, string Key, string Authority);
