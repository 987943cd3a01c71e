using System.Globalization;
using Kvasir.Cluster.Nodes;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

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

    /// <summary>A program and its flags that the node is started under; empty: it is started by itself.</summary>
    public IReadOnlyList<string> Under { get; init; } = [];

    public string Name => string.Create(CultureInfo.InvariantCulture, $"node-{Number}");

    public string Resp => Loopback(RespPort);

    public string Peer => Loopback(AdvertisedPort == 0 ? PeerPort : AdvertisedPort);

    public string Http => Loopback(HttpPort);

    /// <summary>It has been a node already: its folder says of which cluster.</summary>
    public bool HasIdentity => File.Exists(Path.Combine(Folder, "CLUSTER"));

    /// <summary>Some process has its folder open.</summary>
    public bool IsRunning
    {
        get
        {
            if (!HasIdentity)
                return false;
            try
            {
                using IDisposable? held = new PosixFileSystem().LockForReading(NodeInspector.LockPath(Path.GetFullPath(Folder)));
                return false;
            }
            catch (FolderInUseException)
            {
                return true;
            }
        }
    }

    private static string Loopback(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
}
