using System.Globalization;

namespace Kvasir.Cluster.Transport;

/// <param name="Node">Who should be there; nobody: whoever is.</param>
/// <param name="Host">A name or an address, an IPv6 one without brackets.</param>
public readonly record struct PeerAddress(NodeId Node, string Host, int Port)
{
    /// <summary>Reads HOST:PORT, an IPv6 address in brackets.</summary>
    public static bool TryParse(string text, NodeId node, out PeerAddress address)
    {
        address = default;
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            return false;
        string host = text[..colon];
        bool bracketed = host.Length > 2 && host[0] == '[' && host[^1] == ']';
        if (bracketed)
            host = host[1..^1];
        if (host.Contains(':', StringComparison.Ordinal) != bracketed)
            return false;
        address = new PeerAddress(node, host, port);
        return true;
    }

    public override string ToString() => Host.Contains(':', StringComparison.Ordinal)
        ? string.Create(CultureInfo.InvariantCulture, $"[{Host}]:{Port}")
        : string.Create(CultureInfo.InvariantCulture, $"{Host}:{Port}");
}
