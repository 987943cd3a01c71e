using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Kvasir.Cluster.Expiry;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Server.Settings;
using Kvasir.Storage.Files;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>What all sessions of one server share. Inside the mailbox, where a member does not say otherwise.</summary>
internal sealed class ServerState
{
    /// <param name="node">What it serves.</param>
    /// <param name="time">Its clock.</param>
    /// <param name="commands">All it knows; the families are above, and handed in.</param>
    public ServerState(IServedNode node, TimeProvider time, IEnumerable<CommandDefinition> commands)
    {
        Node = node;
        Time = time;
        Clock = new ServerClock(time);
        Connections = new OpenConnections(Limits);
        Commands = new CommandTable(commands);
        Watches = new WatchRegistry(node.DatabaseCount);
        Use = new KeyUse(Clock);
        Events = new KeyEvents(node, PubSub, Watches, Use);
        Tracking = new KeyTracking(Clients);
        ClientMemory = new ClientMemory(this);
        Dispatcher = new CommandDispatcher(this);
        Expiry = new ExpirySweep(node, time, new ExpiryAnnouncer(this));
        Settings.Set("appendfsync", node.Durability switch { Durability.Sync => "always", Durability.Interval => "everysec", _ => "no" });
        SettingEffects.ApplyAll(this);
    }

    public IServedNode Node { get; }

    public TimeProvider Time { get; }

    public ServerClock Clock { get; }

    public CommandTable Commands { get; }

    public CommandDispatcher Dispatcher { get; }

    public ServerSettings Settings { get; } = new();

    public ServerIdentity Identity { get; } = new();

    public ServerStatistics Statistics { get; } = new();

    public ClientRegistry Clients { get; } = new();

    public ClientMemory ClientMemory { get; }

    public PubSubRegistry PubSub { get; } = new();

    public WatchRegistry Watches { get; }

    public KeyEvents Events { get; }

    public KeyTracking Tracking { get; }

    public KeyUse Use { get; }

    /// <summary>Whoever hosts starts it, and disposes it before the node.</summary>
    public ExpirySweep Expiry { get; }

    public ScanCursors ScanCursors { get; } = new((ulong)Random.Shared.NextInt64());

    /// <summary>Where commands run in a cluster; null for a node that is alone.</summary>
    public CommandRouter? Router { get; set; }

    /// <summary>What clients take the server for: who is redirected has to know Redis Cluster.</summary>
    public string Mode => Router is { Redirects: true } ? "cluster" : "standalone";

    public SlowLog SlowLog { get; } = new();

    public LatencyMonitor Latency { get; } = new();

    public PauseState Pause { get; } = new();

    public LogFailures LogFailures { get; } = new();

    public RespRequestLimits RequestLimits { get; } = new();

    public ConnectionLimits Limits { get; } = new();

    public OpenConnections Connections { get; }

    public List<RespSession> Monitors { get; } = [];

    public ISnapshotter? Snapshotter { get; set; }

    /// <summary>Hears of databases whose expired keys cannot be deleted.</summary>
    public Action<int, StorageException>? SweepFailed { get; set; }

    /// <summary>Told of damage that a command met. Any thread.</summary>
    public Action<CorruptionException>? DamageMet { get; set; }

    /// <summary>Null where the addresses are what they were at the start.</summary>
    public IEndpoints? Endpoints { get; set; }

    /// <summary>Null where TLS is not served.</summary>
    public ICertificates? Certificates { get; set; }

    /// <summary>Null when there is none.</summary>
    public IConfigFile? ConfigFile { get; set; }

    /// <summary>Ends the program; set by whoever hosts.</summary>
    public IShutdownRequest? Shutdown { get; set; }

    public string? Password { get; set; }

    [MemberNotNullWhen(true, nameof(Password))]
    public bool RequiresPassword => Password is not null;

    /// <summary>BGSAVE ran inside EXEC: a save begins after it.</summary>
    public bool SaveIsScheduled { get; set; }

    /// <summary>What <see cref="KeyEvents.Changes"/> was at the last save.</summary>
    public long ChangesAtSave { get; set; }

    /// <summary>DEBUG RELOAD: closes the node and opens it again; null where that makes no sense.</summary>
    public Action? ReloadNode { get; set; }

    /// <summary>Tells the owners of sessions that no more are woken together (<see cref="ISessionOwner.WakeLater"/>). Any thread.</summary>
    public Action WakeNow { get; set; } = static () => { };

    /// <summary>Held while the node closes and opens again, and by whoever touches its log from outside the mailbox.</summary>
    public Lock ReloadLock { get; } = new();

    public bool ActiveExpire { get; set; } = true;

    /// <summary>
    /// maxmemory is below what an engine works with at all, so no command that may need memory runs. Above that it refuses
    /// nothing: data lie on disk, and the engines keep to a budget of their own.
    /// </summary>
    public bool IsMemoryTooSmall { get; set; }

    /// <summary>min-replicas-to-write asks for replicas, and there are none.</summary>
    public bool LacksReplicas { get; set; }

    /// <summary>DEBUG is for those that enable-debug-command names.</summary>
    /// <summary>DEBUG and parts of MODULE have a setting each that says who may run them.</summary>
    public bool AllowsProtected(RespSession session, CommandEntry entry) => Settings[$"enable-{(entry.Parent ?? entry).FullName}-command"] switch
    {
        "yes" => true,
        "local" => session.Client.Address.StartsWith("127.", StringComparison.Ordinal)
            || session.Client.Address.StartsWith("[::1]", StringComparison.Ordinal)
            || session.Client.Address.StartsWith('/'),
        _ => false,
    };

    /// <summary>A connection has come. In the mailbox or before it serves.</summary>
    public void Opened(RespSession session)
    {
        Clients.Add(session);
        Statistics.ConnectionOpened();
    }

    /// <summary>A connection is gone. In the mailbox.</summary>
    public void Closed(RespSession session)
    {
        Clients.Remove(session);
        PubSub.RemoveAll(session);
        Watches.RemoveAll(session);
        Monitors.Remove(session);
        Tracking.Disable(session);
        session.Transaction.End();
        ClientMemory.Forget(session);
    }

    public void BeginScheduledSave()
    {
        // One that runs already began before: the scheduled one waits for its end.
        if (Snapshotter is { } snapshotter && !snapshotter.TryBegin())
            return;
        SaveIsScheduled = false;
        ChangesAtSave = Events.Changes;
    }

    /// <summary>Shows a command to those who MONITOR.</summary>
    public void FeedMonitors(CommandContext context)
    {
        BytesBuffer line = new(128);
        long now = Clock.NowMicroseconds;
        line.Append(Encoding.ASCII.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"+{now / 1_000_000}.{now % 1_000_000:D6} [{context.DatabaseIndex} {context.Session.Client.Address}]")));
        for (int i = 0; i < context.ArgumentCount; i++)
        {
            line.Append((byte)' ');
            QuotedText.Append(line, Redaction.Hides(context, i) ? Redaction.Text : context.Argument(i));
        }

        line.Append("\r\n"u8);
        foreach (RespSession monitor in Monitors)
            monitor.Push(line.WrittenSpan);
    }
}

/// <summary>SAVE and its like.</summary>
internal interface ISnapshotter
{
    /// <summary>Unix seconds of the last one that succeeded, or of the start.</summary>
    long LastSaveSeconds { get; }

    bool IsRunning { get; }

    /// <summary>Why the last one failed; null when it did not.</summary>
    string? LastFailure { get; }

    /// <summary>Begins a checkpoint; false when one is running.</summary>
    bool TryBegin();
}

/// <summary>CONFIG SET port and bind.</summary>
internal interface IEndpoints
{
    /// <summary>Listens there and nowhere else; false when that cannot be, and then all is as it was. Port 0: nowhere.</summary>
    bool Listen(string addresses, int port);
}

/// <summary>CONFIG REWRITE.</summary>
internal interface IConfigFile
{
    /// <summary>Writes what was changed since the start into the file; null, or what stood in the way.</summary>
    string? Rewrite(ServerSettings settings);
}

/// <summary>SHUTDOWN.</summary>
internal interface IShutdownRequest
{
    void Request();
}

/// <summary>Who this process is, for INFO.</summary>
internal sealed class ServerIdentity
{
    public const string RedisVersion = "7.0.15";

    public string RunId { get; set; } = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray()) + "0a1b2c3d";

    public string ReplicationId { get; set; } = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray()) + "00000000";

    public string DataFolder { get; set; } = "";

    public int Port { get; set; }

    public string ConfigFile { get; set; } = "";

    public string Loop { get; set; } = "epoll";
}
