using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Peers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>The node that a server serves, opened as its options say: one alone, or one of a cluster with its way to the others.</summary>
internal sealed class OpenedNode : IDisposable
{
    private static readonly TimeSpan s_grace = TimeSpan.FromMilliseconds(50);

    private readonly IDisposable[] _parts;

    private OpenedNode(IServedNode node, Task<string> turnedAway, params IDisposable[] parts)
    {
        Node = node;
        TurnedAway = turnedAway;
        _parts = parts;
    }

    public IServedNode Node { get; }

    /// <summary>Completes when its cluster will not have this node, with the reason; never otherwise.</summary>
    public Task<string> TurnedAway { get; }

    /// <summary>Throws <see cref="StartupException"/>.</summary>
    public static OpenedNode Open(ServerOptions options, NodeEnvironment world, ILoggerFactory logging)
    {
        if (world.Files.FileExists(options.DataFolder))
            throw new StartupException($"{options.DataFolder} is a file; the data lies in a folder");
        try
        {
            return options.Peer is { } peer ? OpenOfCluster(options, peer, world, logging) : OpenAlone(options, world, logging);
        }
        catch (FolderInUseException e)
        {
            throw new StartupException($"another server has the folder {options.DataFolder} open", e);
        }
        catch (StorageException e)
        {
            throw new StartupException(e.Message.ReplaceLineEndings(" "), e);
        }
    }

    /// <summary>Others lead what this node leads, as far as they can: clients of theirs need not wait for an election.</summary>
    public async Task HandOver(TimeSpan patience)
    {
        if (Node.Clustered is not { } node)
            return;
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        node.HandOver(patience, _ => done.TrySetResult());

        // A mailbox that hangs is not waited for.
        await Task.WhenAny(done.Task, Task.Delay(patience * 2));

        // Other nodes have sent requests before they heard who leads now: these are told, rather than cut off.
        await Task.Delay(s_grace);
    }

    /// <summary>Nobody uses the node any more.</summary>
    public void Dispose()
    {
        foreach (IDisposable part in _parts)
            part.Dispose();
    }

    /// <summary>
    /// What a full disk needs to be worked with, enough for a few tables, and little beside what is free: a node that is alone
    /// keeps it for deletions, one of a cluster waits for it before it goes on.
    /// </summary>
    private static long ReserveBytes(IFileSystem files, string folder)
    {
        const long Least = 4L << 20;
        const long Most = 32L << 20;
        files.CreateFolder(folder);
        return Math.Clamp(files.FreeBytes(folder) / 20, Least, Most);
    }

    /// <summary>
    /// A journal is let go segment by segment: a small one is made of small ones. Under steady writes what a flush lets go is what the next
    /// writes need: kept, it is not filled with zeros anew, which would be half of all that is written to it.
    /// </summary>
    private static JournalOptions JournalOf(ServerOptions options)
    {
        const int Segments = 16;
        JournalOptions standard = new();
        return standard with
        {
            SegmentBytes = Math.Clamp(options.JournalBytesMax / Segments, standard.FirstSegmentBytes, standard.SegmentBytes),
            SpareSegmentsMax = Segments,
        };
    }

    private static OpenedNode OpenAlone(ServerOptions options, NodeEnvironment world, ILoggerFactory logging)
    {
        ILogger logger = logging.CreateLogger("Kvasir.Server");
        KvasirNode node = KvasirNode.Open(
            new NodeOptions
            {
                Folder = options.DataFolder,
                DatabaseCount = options.Databases,
                Engine = options.Engine,
                Durability = options.Durability,
                DatabaseDurability = options.DatabaseDurability,
                SyncInterval = options.Interval,
                MemoryBytes = MemoryShares.EngineBytes(options.MemoryBytes),
                JournalBytesMax = options.JournalBytesMax,
                Journal = JournalOf(options),
                ReserveBytes = ReserveBytes(world.Files, options.DataFolder),
                Warner = text => HostLog.Warned(logger, text),
            },
            world);
        return new OpenedNode(node, new TaskCompletionSource<string>().Task, node);
    }

    private static OpenedNode OpenOfCluster(ServerOptions options, PeerOptions peer, NodeEnvironment world, ILoggerFactory logging)
    {
        if (options.Durability != Durability.Sync || options.DatabaseDurability.Count > 0)
            throw new StartupException("durability: the databases of a cluster sync before they answer; another is not served there");
        string resp = RespAddress(options, peer);
        SeededRandom random = new(world.Seed);
        TcpTransport transport = OpenTransport(peer, world.Scheduler.Time, random, logging);
        try
        {
            ILogger logger = logging.CreateLogger("Kvasir.Cluster");
            ClusterNode node = ClusterNode.Open(
                new ClusterNodeOptions
                {
                    Folder = options.DataFolder,
                    PeerAddress = peer.Advertised is { } told ? Text(told) : transport.EndPoint.ToString(),
                    RespAddress = resp,
                    HttpAddress = options.Http is { Port: not 0 } http ? http.ToString() : "",
                    Locality = peer.Locality,
                    Seeds = [.. peer.Seeds.Select(static s => new PeerAddress(NodeId.None, s.Host, s.Port))],
                    DatabaseCount = options.Databases,
                    IsDatabaseCountAsked = options.AreDatabasesGiven,
                    DatabaseEngines = options.Engine is { } engine ? [engine] : [],
                    MemoryBytes = MemoryShares.EngineBytes(options.MemoryBytes),
                    JournalBytesMax = options.JournalBytesMax,
                    Journal = JournalOf(options),
                    RoomBytes = ReserveBytes(world.Files, options.DataFolder),
                    SnapshotBytesPerSecond = peer.SnapshotBytesPerSecond,
                    Upkeep = new UpkeepSettings { DeadAfter = peer.DeadAfter },
                },
                world with { Seed = random.NextUInt64() },
                transport);
            TaskCompletionSource<string> turnedAway = new(TaskCreationOptions.RunContinuationsAsynchronously);

            // First: without it warnings are announced.
            node.Warner = text => HostLog.Warned(logger, text);
            node.Announcer = text =>
            {
                if (text == node.Refused)
                    turnedAway.TrySetResult(text);
                else
                    HostLog.Announced(logger, text);
            };

            // Before somebody listened it may have happened already.
            if (node.Refused is { } refused)
                turnedAway.TrySetResult(refused);

            // No message may come in for a node that is closed.
            return new OpenedNode(node, turnedAway.Task, transport, node);
        }
        catch
        {
            transport.Dispose();
            throw;
        }
    }

    private static TcpTransport OpenTransport(PeerOptions peer, TimeProvider time, SeededRandom random, ILoggerFactory logging)
    {
        try
        {
            return new TcpTransport(
                new TcpTransportOptions { Listen = peer.Listen, Certificates = peer.Tls }, time, random.Fork(), logging.CreateLogger("Kvasir.Peers"));
        }
        catch (SocketException e)
        {
            throw new StartupException($"cannot listen on peer {peer.Listen}: {e.Message}", e);
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"peer-tls: {e.Message.ReplaceLineEndings(" ")}", e);
        }
        catch (PlatformNotSupportedException e)
        {
            throw new StartupException($"peer: {e.Message}", e);
        }
    }

    /// <summary>The directory holds it, so it must be known before anything is bound, and be one that others can use.</summary>
    private static string RespAddress(ServerOptions options, PeerOptions peer)
    {
        if (peer.RespAdvertised is { } told)
            return Text(told);
        if (options.Resp.Count == 0)
            return "";
        IPEndPoint first = options.Resp[0];
        if (first.Port == 0)
            throw new StartupException("resp: a node of a cluster tells the others its port, so 0 will not do without resp-advertise");
        bool every = first.Address.Equals(IPAddress.Any) || first.Address.Equals(IPAddress.IPv6Any);
        string host = !every ? first.Address.ToString() : peer.Advertised?.Host ?? peer.Listen.Address.ToString();
        return Text(new DnsEndPoint(host, first.Port));
    }

    private static string Text(DnsEndPoint address) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(address.Host.Contains(':', StringComparison.Ordinal) ? $"[{address.Host}]" : address.Host)}:{address.Port}");
}
