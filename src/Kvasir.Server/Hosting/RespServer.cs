using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Commands;
using Kvasir.Server.Forwarding;
using Kvasir.Server.Metrics;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Server.Transport;
using Kvasir.Storage.Files;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>A node's endpoints: RESP by the event loop, TLS and HTTP by Kestrel. Does not own the node.</summary>
internal sealed class RespServer : IAsyncDisposable, IShutdownRequest, IEndpoints
{
    private readonly ServerOptions _options;
    private readonly ILogger _logger;
    private readonly EpollListener? _epoll;
    private readonly KestrelHost? _kestrel;
    private readonly ServerMeter _meter;
    private readonly RequestExchange? _exchange;
    private readonly CancellationTokenSource _shutdown = new();
    private bool _disposed;

    private RespServer(IServedNode node, ServerOptions options, IFileSystem files, ServerCertificates? certificates, ILoggerFactory logging, Action<StorageException> lost)
    {
        _options = options;
        _logger = logging.CreateLogger("Kvasir.Server");
        State = new ServerState(node, node.Time, AllCommands.List) { Shutdown = this };
        State.Identity.DataFolder = options.DataFolder;
        State.Identity.ConfigFile = options.ConfigFile ?? "";
        if (node.Alone is { } alone)
        {
            State.ReloadNode = () => Reload(alone, lost);
            State.Snapshotter = new CheckpointKeeper(alone.Files, NodeInspector.CheckpointsFolder(options.DataFolder), alone.Checkpoint, node.Time, _logger);
        }

        if (node.Clustered is { } clustered)
        {
            _exchange = new RequestExchange(State, clustered);
            State.Router = new CommandRouter(State, clustered, _exchange)
            {
                Redirects = options.Peer?.Redirects == true,
                Patience = (options.Peer ?? new PeerOptions(new IPEndPoint(IPAddress.Loopback, 0))).Patience,
            };
        }

        State.SweepFailed = (database, failure) => HostLog.SweepFailed(_logger, database, failure.Message.ReplaceLineEndings(" "));
        State.DamageMet = new DamageNotices(_logger).Met;
        State.ClientMemory.Evicted = session => HostLog.Evicted(_logger, ClientLine.Format(session));
        ApplySettings(State, options);

        node.Memory.RoomMade = () => _epoll?.RoomMade();

        // Other nodes' requests may be there already: everything that answers them comes before them.
        node.SetLogListener(new LogWatcher(State, LogMoved, _logger));
        node.Clustered?.SetForwarding(_exchange!);
        _meter = new ServerMeter(State);
        bool epoll = OperatingSystem.IsLinux() && !options.KestrelOnly;
        State.Identity.Loop = epoll ? "epoll" : "kestrel";
        try
        {
            if (epoll && (options.Resp.Count != 0 || options.UnixSocket is not null))
            {
                bool commitInline = options.CommitOnLoop && options.IoThreads == 1;
                _epoll = new EpollListener(State, options.Resp, options.UnixSocket, options.IoThreads, options.Backlog, commitInline, options.BusyPoll);
            }

            if (options.Http is not null || options.RespTls.Count != 0 || (!epoll && options.Resp.Count != 0))
                _kestrel = new KestrelHost(State, options, plainResp: !epoll, certificates, logging);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Of files: the socket file, which it names.
            _meter.Dispose();
            throw new StartupException($"cannot listen on {options.UnixSocket?.Path}: {e.Message}", e);
        }
        catch (SocketException e)
        {
            _epoll?.Dispose();
            _meter.Dispose();
            string[] addresses = [.. options.Resp.Select(static r => r.ToString()), .. options.UnixSocket is { } unix ? [unix.Path] : Array.Empty<string>()];
            throw new StartupException($"cannot listen on {string.Join(", ", addresses)}: {e.Message}", e);
        }

        if (_epoll is { } listener)
            State.WakeNow = listener.WakeNow;
    }

    public ServerState State { get; }

    /// <summary>Cancelled when a client asked for SHUTDOWN.</summary>
    public CancellationToken ShutdownRequested => _shutdown.Token;

    /// <summary>Plain RESP as bound: with the port that the system chose for port 0.</summary>
    public IReadOnlyList<IPEndPoint> Resp => _epoll?.EndPoints ?? _kestrel?.Resp ?? [];

    /// <summary>RESP over TLS as bound.</summary>
    public IReadOnlyList<IPEndPoint> RespTls => _kestrel?.RespTls ?? [];

    public IPEndPoint? Http => _kestrel?.Http;

    /// <summary>
    /// Binds, then serves. Throws <see cref="StartupException"/>. <paramref name="lost"/> hears that the node could not be
    /// opened again, and ends the process: it does not return.
    /// </summary>
    public static async Task<RespServer> Start(
        IServedNode node,
        ServerOptions options,
        IFileSystem files,
        ServerCertificates? certificates,
        ILoggerFactory logging,
        Action<StorageException> lost)
    {
        RespServer server = new(node, options, files, certificates, logging, lost);
        try
        {
            if (server._kestrel is not null)
                await server._kestrel.Start();
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            server._epoll?.Dispose();
            throw new StartupException(e.Message, e);
        }

        server._epoll?.Start();
        server.State.Expiry.Start();
        server.State.Identity.Port = server.Resp.Count == 0 ? 0 : server.Resp[0].Port;
        server.State.Settings.Set("port", server.State.Identity.Port.ToString(CultureInfo.InvariantCulture));
        server.State.Settings.Set("tls-port", (server.RespTls.Count == 0 ? 0 : server.RespTls[0].Port).ToString(CultureInfo.InvariantCulture));
        server.State.Certificates = server._kestrel?.Certificates;
        if (server._epoll is not null)
            server.State.Endpoints = server;
        if (options.ConfigFile is { } file)
            server.State.ConfigFile = new ConfigurationFile(files, file, server.State.Settings);
        foreach (IPEndPoint endPoint in server.Resp)
            HostLog.Serving(server._logger, endPoint, server.State.Identity.Loop, options.DataFolder, DurabilityText(options));
        if (server.Http is not null)
            HostLog.ServingHttp(server._logger, server.Http);
        if (server.State.Limits.ClientsMax < server.State.Settings.Number("maxclients"))
            HostLog.FewerClients(server._logger, server.State.Limits.ClientsMax, server.State.Settings.Number("maxclients"));
        if (options.Password is null && options.Resp.Any(static e => !IPAddress.IsLoopback(e.Address)) && server.State.Settings.Flag("protected-mode"))
            HostLog.Unprotected(server._logger);
        return server;
    }

    public void Request() => _shutdown.Cancel();

    public bool Listen(string addresses, int port)
    {
        if (BindAddresses.Parse(addresses, port) is not { } endPoints || !_epoll!.Rebind(endPoints))
            return false;
        State.Identity.Port = port;
        return true;
    }

    /// <summary>
    /// Takes nothing more from clients, and waits until each has the replies to all that had come from it, while there is patience. What
    /// answers them must still be there.
    /// </summary>
    public async Task Finish(TimeSpan patience)
    {
        Task loops = _epoll?.Finish() ?? Task.CompletedTask;
        Task others = _kestrel?.Handler.Finish() ?? Task.CompletedTask;
        await Task.WhenAny(Task.WhenAll(loops, others), Task.Delay(patience));
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        State.Expiry.Dispose();
        _exchange?.Dispose();
        if (_kestrel is not null)
            await _kestrel.DisposeAsync();
        _epoll?.Dispose();
        _meter.Dispose();
        _shutdown.Dispose();
    }

    internal static string DurabilityText(ServerOptions options) => options.Durability switch
    {
        Durability.Sync => "sync",
        Durability.Interval => string.Create(CultureInfo.InvariantCulture, $"interval ({options.Interval.TotalMilliseconds} ms)"),
        _ => "none",
    };

    /// <summary>In the mailbox: nobody is served from a node that is closed, or open in part.</summary>
    private static void Reload(ILoneNode node, Action<StorageException> lost)
    {
        try
        {
            node.Reload();
        }
        catch (StorageException e)
        {
            lost(e);
            throw new InvalidOperationException("the process should have ended", e);
        }
    }

    private static void ApplySettings(ServerState server, ServerOptions options)
    {
        ServerSettings settings = server.Settings;
        server.Limits.ClientsCeiling = options.ClientsCeiling;
        settings.Set("databases", options.Databases.ToString(CultureInfo.InvariantCulture));
        settings.Set("maxclients", options.ClientsMax.ToString(CultureInfo.InvariantCulture));
        settings.Set("proto-max-bulk-len", options.ValueBytesMax.ToString(CultureInfo.InvariantCulture));
        settings.Set("tcp-backlog", options.Backlog.ToString(CultureInfo.InvariantCulture));
        settings.Set("io-threads", options.IoThreads.ToString(CultureInfo.InvariantCulture));
        settings.Set("requirepass", options.Password ?? "");
        settings.Set("dir", Path.GetFullPath(options.DataFolder));
        settings.Set("bind", string.Join(' ', options.Resp.Select(static e => e.Address.ToString()).Distinct(StringComparer.Ordinal)));
        settings.Set("tls-cert-file", options.Tls?.Certificate ?? "");
        settings.Set("tls-key-file", options.Tls?.Key ?? "");
        settings.Set("tls-ca-cert-file", options.Tls?.ClientAuthority ?? "");
        settings.Set("tls-auth-clients", options.Tls is { ClientAuthority: null } ? "no" : "yes");
        settings.Set("unixsocket", options.UnixSocket?.Path ?? "");
        settings.Set("unixsocketperm", options.UnixSocket?.Mode is { } mode ? Convert.ToString((int)mode, 8) : "0");
        settings.Set("appendonly", options.Durability == Durability.None ? "no" : "yes");
        settings.Set("appendfsync", options.Durability switch { Durability.Sync => "always", Durability.Interval => "everysec", _ => "no" });
        foreach ((string name, string value) in options.Parameters)
            settings.Set(name, value);
        SettingEffects.ApplyAll(server);
    }

    private void LogMoved()
    {
        _epoll?.LogMoved();
        _kestrel?.Handler.LogMoved();
        _exchange?.LogMoved();
    }
}
