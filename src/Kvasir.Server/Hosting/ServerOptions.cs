using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Sessions;
using Kvasir.Server.Transport;

namespace Kvasir.Server.Hosting;

/// <summary>What a server is told at its start. <see cref="ServerOptionsReader"/> makes it from file, environment and flags.</summary>
public sealed record ServerOptions
{
    public string DataFolder { get; init; } = "./data";

    /// <summary>Plain RESP.</summary>
    public IReadOnlyList<IPEndPoint> Resp { get; init; } = [new(IPAddress.Loopback, 6379)];

    /// <summary>Plain RESP over a socket in the file system; needs the event loop.</summary>
    public UnixSocketOptions? UnixSocket { get; init; }

    /// <summary>RESP over TLS.</summary>
    public IReadOnlyList<IPEndPoint> RespTls { get; init; } = [];

    /// <summary>Health and metrics; null for none.</summary>
    public IPEndPoint? Http { get; init; }

    /// <summary>Connections to <see cref="Http"/> at once.</summary>
    public int HttpConnectionsMax { get; init; } = 64;

    public TlsFiles? Tls { get; init; }

    public Durability Durability { get; init; } = Durability.Sync;

    /// <summary>Databases whose durability differs, by index.</summary>
    public IReadOnlyDictionary<int, Durability> DatabaseDurability { get; init; } = new Dictionary<int, Durability>();

    /// <summary>With <see cref="Durability.Interval"/>: the longest time between two syncs.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A quarter of what the process may have, between 256 MiB and 16 GiB.</summary>
    public static long DefaultMemoryBytes { get; } =
        Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4, 256L << 20, 16L << 30);

    /// <summary>What the process should stay within: <see cref="MemoryShares"/> says who gets how much.</summary>
    public long MemoryBytes { get; init; } = DefaultMemoryBytes;

    /// <summary>Of the journal, before engines are made to flush what holds it back.</summary>
    public long JournalBytesMax { get; init; } = 512L << 20;

    /// <summary>Null: no password, and then other addresses than loopback are refused unless protected-mode is off.</summary>
    public string? Password { get; init; }

    /// <summary>Event loops.</summary>
    public int IoThreads { get; init; } = 1;

    public int Databases { get; init; } = 16;

    /// <summary>The engine of a new folder's databases; null for the standard one.</summary>
    public string? Engine { get; init; }

    /// <summary>That number was given by the user.</summary>
    public bool AreDatabasesGiven { get; init; }

    public int ClientsMax { get; init; } = 10_000;

    /// <summary>As many as the system lets the process have, whatever else is set.</summary>
    public int ClientsCeiling { get; init; } = int.MaxValue;

    public long ValueBytesMax { get; init; } = 64L << 20;

    public int Backlog { get; init; } = 511;

    /// <summary>Serve plain RESP through Kestrel instead of the event loop. Always so where there is no epoll.</summary>
    public bool KestrelOnly { get; init; }

    /// <summary>Syncs on the event loop's own thread, as Redis does; otherwise on the journal's.</summary>
    public bool CommitOnLoop { get; init; } = true;

    /// <summary>
    /// How long an event loop whose clients answer at once looks for their next requests before it sleeps; zero: not at
    /// all, which suits machines where the loops have no core to themselves.
    /// </summary>
    public TimeSpan BusyPoll { get; init; } = TimeSpan.FromMicroseconds(Environment.ProcessorCount > 1 ? 40 : 0);

    /// <summary>Where metrics are sent by OTLP; null for nowhere.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>Protobuf over HTTP instead of gRPC.</summary>
    public bool OtlpOverHttp { get; init; }

    /// <summary>What <see cref="LogLevel"/> may be, the most talkative first.</summary>
    public static IReadOnlyList<string> LogLevels { get; } = ["debug", "info", "warning", "error"];

    /// <summary>What <see cref="LogFormat"/> may be.</summary>
    public static IReadOnlyList<string> LogFormats { get; } = ["text", "json"];

    /// <summary>Least level of log lines.</summary>
    public string LogLevel { get; init; } = "info";

    /// <summary>Lines for people, or one JSON object each.</summary>
    public string LogFormat { get; init; } = "text";

    /// <summary>Null: the server stands alone.</summary>
    public PeerOptions? Peer { get; init; }

    /// <summary>The file that the options came from, for INFO.</summary>
    public string? ConfigFile { get; init; }

    /// <summary>Variables of the environment that begin like options and are none: named in the log.</summary>
    public IReadOnlyList<string> UnknownVariables { get; init; } = [];

    /// <summary>Parameters as CONFIG SET knows them, to begin with.</summary>
    public IReadOnlyDictionary<string, string> Parameters { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);
}
