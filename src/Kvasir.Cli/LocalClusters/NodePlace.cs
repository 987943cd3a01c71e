using System.Globalization;

namespace Kvasir.Cli.LocalClusters;

/// <summary>One node of a cluster on this machine: where its data lies and where it listens.</summary>
internal sealed record NodePlace
{
    /// <summary>From 1.</summary>
    public required int Number { get; init; }

    public required string Folder { get; init; }

    /// <summary>Beside the folder, not in it: a folder that is wiped leaves the way to start the node again.</summary>
    public required string SettingsFile { get; init; }

    public required int RespPort { get; init; }

    public required int PeerPort { get; init; }

    public required int HttpPort { get; init; }

    /// <summary>Where the others are told to reach it, when something stands between; else 0.</summary>
    public int AdvertisedPort { get; init; }

    public string Name => string.Create(CultureInfo.InvariantCulture, $"node-{Number}");

    public string Resp => Loopback(RespPort);

    public string Peer => Loopback(AdvertisedPort == 0 ? PeerPort : AdvertisedPort);

    public string Http => Loopback(HttpPort);

    /// <summary>It has been a node already: its folder says of which cluster.</summary>
    public bool HasIdentity => File.Exists(Path.Combine(Folder, "CLUSTER"));

    private static string Loopback(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
}
