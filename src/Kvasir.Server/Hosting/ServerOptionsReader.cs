using System.Globalization;
using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Server.Transport;
using Microsoft.Extensions.Configuration;

namespace Kvasir.Server.Hosting;

/// <summary>
/// Options from a file, the environment (<c>KVASIR_</c> and the key in capitals, _ for -) and flags; the later wins. The
/// file has a key and its value on each line, # for remarks; a key that nobody knows is an error that names the line.
/// </summary>
public static class ServerOptionsReader
{
    private const int KeyCharsShown = 40;
    private const string EnvironmentPrefix = "KVASIR_";

    /// <summary>Of the shell and the bench, which share the prefix.</summary>
    private static readonly string[] OtherVariables = ["history", "password"];

    // As Redis: what a socket does not have (setuid and the like) is a mistake.
    private const int PermissionsMax = 0x1FF;

    // What the system's address of a socket file holds (unix(7)), without the final zero.
    private const int SocketPathBytesMax = 107;

    // Cannot begin the name of an option.
    private const string ParameterPrefix = ".";

    /// <summary>Reads all three sources. Throws <see cref="StartupException"/> with one line.</summary>
    public static ServerOptions Read(string? file, IReadOnlyDictionary<string, string?> flags)
    {
        foreach (string key in flags.Keys)
        {
            if (!ServerOptionKey.IsKnown(key))
                throw new StartupException($"unknown option {key}");
        }

        IReadOnlyList<FileLine> lines = file is null ? [] : ReadFile(file);
        List<KeyValuePair<string, string?>> environment = ReadEnvironment();
        ServerOptions With(IEnumerable<FileLine> chosen) => Make(new ConfigurationBuilder()
            .AddInMemoryCollection(chosen.Select(static l => new KeyValuePair<string, string?>(l.Key, l.Value)))
            .AddInMemoryCollection(environment)
            .AddInMemoryCollection(flags.Where(static f => f.Value is not null))
            .Build());
        try
        {
            return With(lines) with { ConfigFile = file, UnknownVariables = UnknownVariables() };
        }
        catch (StartupException e)
        {
            foreach (FileLine line in lines)
            {
                if (!Fails(() => With(lines.Where(l => l != line))))
                    throw new StartupException($"{file}:{line.Number}: {e.Message}", e);
            }

            throw;
        }
    }

    private static bool Fails(Func<ServerOptions> make)
    {
        try
        {
            make();
            return false;
        }
        catch (StartupException)
        {
            return true;
        }
    }

    private static List<FileLine> ReadFile(string file)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"cannot read {file}: {e.Message}", e);
        }

        List<FileLine> pairs = [];
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            int end = line.IndexOfAny([' ', '\t', '=']);
            string key = (end < 0 ? line : line[..end]).ToLowerInvariant();
            string value = end < 0 ? "" : line[(end + 1)..].TrimStart(' ', '\t', '=').Trim('"');
            if (!ServerOptionKey.IsKnown(key))
            {
                if (Objection(key, value) is { } objection)
                    throw new StartupException($"{file}:{i + 1}: {objection}");
                key = ParameterPrefix + key;
            }

            if (pairs.Exists(p => string.Equals(p.Key, key, StringComparison.Ordinal)))
                throw new StartupException($"{file}:{i + 1}: {key.TrimStart('.')} stands there twice");
            pairs.Add(new(i + 1, key, value));
        }

        return pairs;
    }

    /// <summary>What CONFIG SET knows may stand in the file, too, unless it is one of the options under another name.</summary>
    private static string? Objection(string key, string value)
    {
        ServerSettings settings = new();
        if (settings.Find(key) is not { Fixed: false } setting || key is "port" or "bind" or "dir" or "appendonly" or "appendfsync")
            return LooksLikeKey(key) ? $"unknown key {key}" : "the line does not begin with a key";
        return settings.Check(setting, value, out _) is { } wrong ? $"{key}: {wrong}" : null;
    }

    // What is none is not shown: the file may be another one by mistake, and hold secrets.
    private static bool LooksLikeKey(string key) => key.Length <= KeyCharsShown && key.All(static c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-');

    private static List<KeyValuePair<string, string?>> ReadEnvironment()
    {
        List<KeyValuePair<string, string?>> pairs = [];
        foreach (string key in ServerOptionKey.All.Select(static k => k.Name))
        {
            string? value = Environment.GetEnvironmentVariable(EnvironmentPrefix + key.ToUpperInvariant().Replace('-', '_'));
            if (value is not null)
                pairs.Add(new(key, value));
        }

        return pairs;
    }

    /// <summary>Variables that look like options of the server and are none: a mistyped one must not go unnoticed.</summary>
    private static string[] UnknownVariables()
    {
        HashSet<string> known = [.. ServerOptionKey.All.Select(static k => k.Name), .. OtherVariables];
        return
        [
            .. Environment.GetEnvironmentVariables().Keys.Cast<string>()
                .Where(n => n.StartsWith(EnvironmentPrefix, StringComparison.Ordinal)
                    && !known.Contains(n[EnvironmentPrefix.Length..].ToLowerInvariant().Replace('_', '-')))
                .Order(StringComparer.Ordinal),
        ];
    }

    private static ServerOptions Make(IConfiguration settings)
    {
        ServerOptions defaults = new();
        string? certificate = settings["tls-cert-file"];
        string? key = settings["tls-key-file"];
        if (certificate is null != key is null)
            throw new StartupException("tls-cert-file and tls-key-file go together");
        IPEndPoint[] tls = EndPoints(settings, "resp-tls") ?? [];
        if (tls.Length != 0 && certificate is null)
            throw new StartupException("resp-tls needs tls-cert-file and tls-key-file");
        if (tls.Length == 0)
        {
            // Whoever gives a certificate takes it that clients are served with it.
            string? unused = certificate is not null ? "tls-cert-file" : settings["tls-ca-cert-file"] is not null ? "tls-ca-cert-file" : null;
            if (unused is not null)
                throw new StartupException($"{unused} is for resp-tls, which is not given: nobody would be served over TLS");
        }

        if (tls.Length == 0 && settings["resp"] is { } resp && resp.AsSpan().Trim(" ,").IsEmpty)
            throw new StartupException("resp is HOST:PORT, not empty");
        Dictionary<string, string> parameters = new(StringComparer.Ordinal);
        foreach (KeyValuePair<string, string?> pair in settings.AsEnumerable())
        {
            if (pair.Key.StartsWith(ParameterPrefix, StringComparison.Ordinal))
                parameters[pair.Key[ParameterPrefix.Length..]] = pair.Value ?? "";
        }

        if (settings["protected-mode"] is { } mode)
            parameters["protected-mode"] = YesNo("protected-mode", mode) ? "yes" : "no";
        int databases = (int)Number(settings, "databases", defaults.Databases, 1, 1024);
        return defaults with
        {
            DataFolder = settings["data"] ?? defaults.DataFolder,
            Resp = EndPoints(settings, "resp") ?? defaults.Resp,
            UnixSocket = UnixSocketOf(settings),
            RespTls = tls,
            Http = HttpEndPoint(settings),
            HttpConnectionsMax = (int)Number(settings, "http-connections-max", defaults.HttpConnectionsMax, 1, 10_000),
            Tls = certificate is null ? null : new TlsFiles(certificate, key!, settings["tls-ca-cert-file"]),
            Durability = Word("durability", settings["durability"]) ?? defaults.Durability,
            DatabaseDurability = PerDatabase(settings["database-durability"], databases),
            Interval = TimeSpan.FromMilliseconds(Number(settings, "interval-ms", (long)defaults.Interval.TotalMilliseconds, 1, 3_600_000)),
            MemoryBytes = Number(settings, "memory-mib", defaults.MemoryBytes >> 20, 16, 1 << 24) << 20,
            JournalBytesMax = Number(settings, "journal-mib", defaults.JournalBytesMax >> 20, 4, 1 << 20) << 20,
            Password = string.IsNullOrEmpty(settings["requirepass"]) ? null : settings["requirepass"],
            IoThreads = (int)Number(settings, "io-threads", defaults.IoThreads, 1, 128),
            Databases = databases,
            AreDatabasesGiven = settings["databases"] is not null,
            Engine = EngineOf(settings["engine"]),
            ClientsMax = (int)Number(settings, "maxclients", defaults.ClientsMax, 1, 1_000_000),
            ValueBytesMax = Number(settings, "value-mib-max", defaults.ValueBytesMax >> 20, 1, 512) << 20,
            Backlog = (int)Number(settings, "backlog", defaults.Backlog, 1, 65535),
            KestrelOnly = YesNo("kestrel-only", settings["kestrel-only"] ?? "no"),
            CommitOnLoop = YesNo("commit-on-loop", settings["commit-on-loop"] ?? "yes"),
            BusyPoll = TimeSpan.FromMicroseconds(Number(settings, "busy-poll-us", (long)defaults.BusyPoll.TotalMicroseconds, 0, 1_000_000)),
            OtlpEndpoint = Address(settings["otlp-endpoint"]),
            OtlpOverHttp = (settings["otlp-protocol"] ?? "grpc").ToLowerInvariant() switch
            {
                "grpc" => false,
                "http" => true,
                string other => throw new StartupException($"otlp-protocol is grpc or http, not {other}"),
            },
            LogLevel = OneOf(settings, "log-level", defaults.LogLevel, ServerOptions.LogLevels),
            LogFormat = OneOf(settings, "log-format", defaults.LogFormat, ServerOptions.LogFormats),
            Parameters = parameters,
            Peer = PeerOptionsReader.Read(settings),
        };
    }

    private static Durability? Word(string key, string? text) => text?.ToLowerInvariant() switch
    {
        null => null,
        "sync" => Durability.Sync,
        "interval" => Durability.Interval,
        "none" => Durability.None,
        _ => throw new StartupException($"{key} is sync, interval or none, not {text}"),
    };

    private static string? EngineOf(string? word) => word is null or "lsm" or "log" or "btree"
        ? word
        : throw new StartupException($"engine: '{word}' is none; it is lsm, log or btree");

    private static Dictionary<int, Durability> PerDatabase(string? text, int databases)
    {
        Dictionary<int, Durability> durabilities = [];
        foreach (string item in (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = item.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0
                || !int.TryParse(item.AsSpan(0, equals), NumberStyles.None, CultureInfo.InvariantCulture, out int database)
                || database >= databases)
                throw new StartupException($"database-durability is a list like 3=none,5=interval for databases 0 to {databases - 1}, not {item}");
            if (!durabilities.TryAdd(database, Word("database-durability", item[(equals + 1)..])!.Value))
                throw new StartupException($"database-durability names database {database} twice");
        }

        return durabilities;
    }

    private static UnixSocketOptions? UnixSocketOf(IConfiguration settings)
    {
        string? path = settings["unixsocket"];
        string? mode = settings["unixsocketperm"];
        if (mode is not null && (mode.Length is 0 or > 4 || mode.Any(static c => c is < '0' or > '7') || Convert.ToInt32(mode, 8) > PermissionsMax))
            throw new StartupException($"unixsocketperm is an octal number like 700, not {mode}");
        if (string.IsNullOrEmpty(path))
            return null;
        if (!OperatingSystem.IsLinux())
            throw new StartupException("unixsocket works on Linux only");
        string full = Path.GetFullPath(path);
        if (System.Text.Encoding.UTF8.GetByteCount(full) > SocketPathBytesMax)
            throw new StartupException($"unixsocket is a path of at most {SocketPathBytesMax} bytes, not {full}");
        return new UnixSocketOptions(full, mode is null ? null : (UnixFileMode)Convert.ToInt32(mode, 8));
    }

    private static bool YesNo(string key, string text) => text.ToLowerInvariant() switch
    {
        "yes" or "true" or "1" => true,
        "no" or "false" or "0" => false,
        _ => throw new StartupException($"{key} is yes or no, not {text}"),
    };

    internal static string OneOf(IConfiguration settings, string key, string standard, IReadOnlyList<string> words)
    {
        string text = settings[key]?.ToLowerInvariant() ?? standard;
        return words.Contains(text, StringComparer.Ordinal) ? text : throw new StartupException($"{key} is one of {string.Join(", ", words)}, not {text}");
    }

    private static Uri? Address(string? text) =>
        text is null ? null
        : Uri.TryCreate(text, UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https" ? address
        : throw new StartupException($"otlp-endpoint is an address like http://127.0.0.1:4317, not {text}");

    internal static long Number(IConfiguration settings, string key, long standard, long min, long max)
    {
        string? text = settings[key];
        if (text is null)
            return standard;
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) || value < min || value > max)
            throw new StartupException($"{key} is a number from {min} to {max}, not {text}");
        return value;
    }

    internal static IPEndPoint[]? EndPoints(IConfiguration settings, string key)
    {
        string? text = settings[key];
        return text is null ? null : [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(t => EndPoint(key, t))];
    }

    private static IPEndPoint? HttpEndPoint(IConfiguration settings) => EndPoints(settings, "http") switch
    {
        null => null,
        [IPEndPoint one] => one,
        _ => throw new StartupException($"http is one HOST:PORT, not '{settings["http"]}'"),
    };

    private static IPEndPoint EndPoint(string key, string text)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon].Trim('[', ']');
        if (colon < 0 || !ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
            throw new StartupException($"{key} is HOST:PORT, not {text}");
        if (host.Length == 0 || host == "*")
            return new IPEndPoint(IPAddress.Any, port);
        if (string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase))
            return new IPEndPoint(IPAddress.Loopback, port);
        if (IPAddress.TryParse(host, out IPAddress? address))
            return new IPEndPoint(address, port);
        try
        {
            return new IPEndPoint(Dns.GetHostAddresses(host)[0], port);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ArgumentOutOfRangeException)
        {
            throw new StartupException($"{key}: nobody knows the host {host}", e);
        }
    }

    private sealed record FileLine(int Number, string Key, string Value);
}
