namespace Kvasir.Server.Hosting;

/// <summary>One setting of a server, as the help page, the configuration file and the environment know it.</summary>
/// <param name="Name">As in the file; a flag puts <c>--</c> before it.</param>
/// <param name="Placeholder">What stands for the value in help.</param>
/// <param name="Meaning">What it does, as a sentence without its full stop.</param>
/// <param name="Standard">What holds when nobody says otherwise, as text; null where there is nothing to say.</param>
public sealed record ServerOptionKey(string Name, string Placeholder, string Meaning, string? Standard)
{
    private static readonly ServerOptions s_standard = new();

    /// <summary>All of them, what people need most first.</summary>
    public static IReadOnlyList<ServerOptionKey> All { get; } =
    [
        new("data", "DIR", "The data folder; made when missing", s_standard.DataFolder),
        new("resp", "HOST:PORT", "Where Redis clients connect; several with commas, port 0 for any free one", s_standard.Resp[0].ToString()),
        new("http", "HOST:PORT", "Where /health/live, /health/ready and /metrics are served", "not served"),
        new("http-connections-max", "N", "Connections to http at once; one more is answered with 503 and closed", Text(s_standard.HttpConnectionsMax)),
        new("durability", "sync|interval|none", "When a write is answered: after fsync; at once, with an fsync each interval; at once", "sync"),
        new("interval-ms", "N", "Milliseconds between two syncs with durability interval: what a crash of the machine may lose",
            Text((long)s_standard.Interval.TotalMilliseconds)),
        new("database-durability", "N=WORD,...", "Databases with a durability of their own, for instance 3=none,5=interval", "as the server"),
        new("memory-mib", "N", $"Memory that the process stays within, clients' large values aside; at least {Text(MemoryShares.SmallestBytes >> 20)}",
            $"a quarter of the memory: {Text(s_standard.MemoryBytes >> 20)} here"),
        new("journal-mib", "N", "Journal on disk, about, before engines flush what holds it back; in a cluster also what a node may miss and be brought up to date without a snapshot",
            Text(s_standard.JournalBytesMax >> 20)),
        new("requirepass", "PASSWORD", "The password that clients must give; better in KVASIR_REQUIREPASS or the file", "no password"),
        new("protected-mode", "yes|no", "Without a password refuse clients of other hosts", "yes"),
        new("unixsocket", "FILE", "A socket file where Redis clients of this machine connect, beside resp", "none"),
        new("unixsocketperm", "OCTAL", "The socket file's permissions, for instance 700", "as the process makes files"),
        new("resp-tls", "HOST:PORT", "Where Redis clients connect over TLS; several with commas", "not served"),
        new("tls-cert-file", "FILE", "PEM file with the server's certificate and its chain, for resp-tls", null),
        new("tls-key-file", "FILE", "PEM file with the certificate's private key", null),
        new("tls-ca-cert-file", "FILE", "PEM file of the authority that clients' certificates must come from (mutual TLS)", "clients need no certificate"),
        new("peer", "HOST:PORT", "Where other nodes connect; makes the server a node of a cluster, and an empty folder without join found one", "the server stands alone"),
        new("join", "HOST:PORT,...", "Nodes of the cluster that an empty folder joins; one of them that answers is enough", null),
        new("locality", "K=V,...", "Where the node stands, the widest first, for instance region=eu,zone=a: copies are spread over places", "nowhere in particular"),
        new("resp-routing", "proxy|redirect", "Commands for keys that another node leads: passed on to it, or answered with MOVED", "proxy"),
        new("leader-wait-ms", "N", "How long commands wait for a shard's leader, and are sent to the next one, before clients get an error", "3000"),
        new("dead-after-seconds", "N", "A node that is silent for so long is replaced: its copies are made anew on others; 0 for never. The same on all nodes", "300"),
        new("snapshot-mib-per-second", "N", "What copies that are made anew on other nodes may take of this one's disk and network", "128"),
        new("peer-advertise", "HOST:PORT", "Where other nodes reach this one, if not at peer", "as peer"),
        new("resp-advertise", "HOST:PORT", "Where clients reach this node when another one sends them, if not at resp", "as resp"),
        new("peer-tls-cert-file", "FILE", "PEM file with this node's certificate and its chain, for TLS between nodes", "no TLS between nodes"),
        new("peer-tls-key-file", "FILE", "PEM file with that certificate's private key", null),
        new("peer-tls-ca-cert-file", "FILE", "PEM file of the authority that every node's certificate must come from", null),
        new("databases", "N", "Number of databases", Text(s_standard.Databases)),
        new("engine", "lsm|log|btree", "The engine of the databases of a new folder, or of a cluster that is founded; a folder stays with its own", "lsm"),
        new("maxclients", "N", "Connections at most; one more is told so and closed", Text(s_standard.ClientsMax)),
        new("value-mib-max", "N", "The largest value", Text(s_standard.ValueBytesMax >> 20)),
        new("backlog", "N", "Connections that may wait to be accepted", Text(s_standard.Backlog)),
        new("io-threads", "N", "Event loops that read requests and write replies", Text(s_standard.IoThreads)),
        new("commit-on-loop", "yes|no", "Sync on the event loop's own thread (fastest with one loop); no: on a thread of its own",
            s_standard.CommitOnLoop ? "yes" : "no"),
        new("busy-poll-us", "N", "Microseconds that a busy event loop looks for the next requests before it sleeps; 0 where cores are shared",
            Text((long)s_standard.BusyPoll.TotalMicroseconds)),
        new("kestrel-only", "yes|no", "Serve plain RESP through Kestrel instead of the event loop", s_standard.KestrelOnly ? "yes" : "no"),
        new("otlp-endpoint", "URL", "OpenTelemetry collector that metrics are sent to, for instance http://127.0.0.1:4317", "not sent"),
        new("otlp-protocol", "grpc|http", "How the collector is spoken to: gRPC, or protobuf over HTTP to URL/v1/metrics", "grpc"),
        new("log-level", string.Join('|', ServerOptions.LogLevels), "Least level of log lines, on standard error", s_standard.LogLevel),
        new("log-format", string.Join('|', ServerOptions.LogFormats), "Log lines for people, or one JSON object each", s_standard.LogFormat),
    ];

    public static bool IsKnown(string name) => All.Any(k => k.Name == name);

    private static string Text(long number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
