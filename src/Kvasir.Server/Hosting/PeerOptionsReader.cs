using System.Globalization;
using System.Net;
using Kvasir.Cluster.Directory;
using Kvasir.Server.Peers;
using Microsoft.Extensions.Configuration;

namespace Kvasir.Server.Hosting;

/// <summary>The options of a node in a cluster, as far as they can be judged without asking anybody.</summary>
internal static class PeerOptionsReader
{
    private const long DeadAfterSecondsMin = 10;
    private const long DeadAfterSecondsMax = 365 * 24 * 3600;

    /// <summary>All but <c>peer</c> itself.</summary>
    private static readonly string[] s_others =
    [
        "peer-advertise", "join", "locality", "resp-routing", "leader-wait-ms", "resp-advertise", "dead-after-seconds", "snapshot-mib-per-second",
        "peer-tls-cert-file", "peer-tls-key-file", "peer-tls-ca-cert-file",
    ];

    /// <summary>Null for a server that stands alone.</summary>
    public static PeerOptions? Read(IConfiguration settings)
    {
        if (string.IsNullOrEmpty(settings["peer"]))
        {
            // Whoever says with whom the server is to be takes it that it will not stand alone.
            string? idle = s_others.FirstOrDefault(o => !string.IsNullOrEmpty(settings[o]));
            return idle is null ? null : throw new StartupException($"{idle} is for a node of a cluster: give peer, too");
        }

        IPEndPoint listen = ServerOptionsReader.EndPoints(settings, "peer") is [IPEndPoint one]
            ? one
            : throw new StartupException($"peer is one HOST:PORT, not '{settings["peer"]}'");
        DnsEndPoint? advertised = Single(settings, "peer-advertise");
        if (advertised is null && (listen.Address.Equals(IPAddress.Any) || listen.Address.Equals(IPAddress.IPv6Any)))
            throw new StartupException($"peer {settings["peer"]} is every address of this machine: say by peer-advertise which one other nodes are to use");
        return new PeerOptions(listen)
        {
            Advertised = advertised,
            RespAdvertised = Single(settings, "resp-advertise"),
            Seeds = Seeds(settings["join"], advertised ?? new DnsEndPoint(listen.Address.ToString(), listen.Port)),
            Locality = Locality.TryParse(settings["locality"]?.Trim() ?? "", out Locality? locality, out string? refusal)
                ? locality
                : throw new StartupException($"locality is a list like region=eu,zone=a: {refusal}"),
            Tls = Tls(settings),
            Patience = TimeSpan.FromMilliseconds(ServerOptionsReader.Number(settings, "leader-wait-ms", 3000, 0, 60_000)),
            DeadAfter = ServerOptionsReader.Number(settings, "dead-after-seconds", 300, 0, DeadAfterSecondsMax) switch
            {
                0 => TimeSpan.MaxValue,
                < DeadAfterSecondsMin => throw new StartupException(
                    $"dead-after-seconds is 0 for never, or at least {DeadAfterSecondsMin}: a node that is only started again is not to be replaced"),
                long seconds => TimeSpan.FromSeconds(seconds),
            },
            SnapshotBytesPerSecond = ServerOptionsReader.Number(settings, "snapshot-mib-per-second", 128, 1, 64 << 10) << 20,
            Redirects = ServerOptionsReader.OneOf(settings, "resp-routing", "proxy", ["proxy", "redirect"]) == "redirect",
        };
    }

    private static DnsEndPoint? Single(IConfiguration settings, string key) =>
        string.IsNullOrEmpty(settings[key]) ? null : Reachable(key, settings[key]!.Trim());

    /// <summary>Names are resolved when they are called: a node starts whether or not others have a name yet.</summary>
    private static DnsEndPoint Reachable(string key, string text)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon].Trim('[', ']');
        if (host.Length == 0 || host == "*"
            || !ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            throw new StartupException($"{key} is HOST:PORT, not {text}");
        return new DnsEndPoint(host, port);
    }

    private static DnsEndPoint[] Seeds(string? text, DnsEndPoint self)
    {
        DnsEndPoint[] seeds =
            [.. (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(t => Reachable("join", t)).Distinct()];

        // The same list may be given to all nodes, so it may name this one; but nobody can join himself.
        DnsEndPoint[] others = [.. seeds.Where(s => s.Port != self.Port || !string.Equals(s.Host, self.Host, StringComparison.OrdinalIgnoreCase))];
        return seeds.Length > 0 && others.Length == 0 ? throw new StartupException($"join names only this node itself, {text}") : others;
    }

    private static PeerCertificateFiles? Tls(IConfiguration settings)
    {
        string?[] files = [settings["peer-tls-cert-file"], settings["peer-tls-key-file"], settings["peer-tls-ca-cert-file"]];
        if (Array.TrueForAll(files, string.IsNullOrEmpty))
            return null;
        return files is [{ Length: > 0 } certificate, { Length: > 0 } key, { Length: > 0 } authority]
            ? new PeerCertificateFiles(certificate, key, authority)
            : throw new StartupException("peer-tls-cert-file, peer-tls-key-file and peer-tls-ca-cert-file go together: nodes prove to each other who they are");
    }
}
