using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// Draws what the clients of an episode send: mostly the data commands of <see cref="CommandLines"/>, else what belongs to
/// connections, transactions, messages, settings and the table of commands, right and nearly right; and now and then bytes
/// that no client should send.
/// </summary>
internal sealed class SessionLines(SeededRandom random, IReadOnlyList<string> commands)
{
    private readonly CommandLines _data = new(random);

    /// <summary>Settings that change replies, with what they are when an episode begins.</summary>
    public static IReadOnlyDictionary<string, string> Settings { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["notify-keyspace-events"] = "", ["requirepass"] = "", ["maxmemory-policy"] = "noeviction", ["slowlog-max-len"] = "128", ["hz"] = "10",
        ["proto-max-bulk-len"] = "67108864", ["lfu-log-factor"] = "10", ["slowlog-log-slower-than"] = "1000000",
        ["latency-tracking"] = "yes", ["list-max-listpack-size"] = "-2", ["client-output-buffer-limit"] = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ["masteruser"] = "", ["oom-score-adj-values"] = "0 200 800", ["rdbcompression"] = "yes", ["maxmemory-clients"] = "0", ["latency-monitor-threshold"] = "0",
    };

    private static readonly string[] s_channels = ["news", "sports", "\0\xff", "", "__keyspace@0__:a", "__keyevent@0__:set"];
    private static readonly string[] s_patterns = ["n*", "*", "[ns]*", "__key*__:*", ""];

    /// <summary>One request, as it goes over the wire; for a block, none whose reply may differ.</summary>
    public (string Name, byte[] Bytes) Next(bool queues)
    {
        while (true)
        {
            (string Name, byte[] Bytes) line = Draw();
            if (!queues || !AllowedDifferences.Named.Contains(line.Name))
                return line;
        }
    }

    private (string Name, byte[] Bytes) Draw()
    {
        if (random.OneIn(150))
            return ("(raw)", Encoding.Latin1.GetBytes(Raw()));
        byte[][] line = random.OneIn(3) ? [.. Line().Select(Encoding.Latin1.GetBytes)] : _data.Next();
        // Without its argument each of these would end the comparison.
        if (random.OneIn(30) && line.Length > 1 && Encoding.Latin1.GetString(line[0]) is not ("SHUTDOWN" or "SYNC" or "MONITOR" or "COMMAND" or "ACL" or "LATENCY" or "TIME" or "LASTSAVE" or "SAVE" or "BGREWRITEAOF" or "BGSAVE"))
            line = line[..^1];
        else if (random.OneIn(40))
            line = [.. line, Encoding.Latin1.GetBytes(Word())];
        if (random.OneIn(4))
            line[0] = Encoding.Latin1.GetBytes(AnyCase(Encoding.Latin1.GetString(line[0])));
        string name = Encoding.Latin1.GetString(line[0]).ToUpperInvariant();
        return (line.Length > 1 && name is "CLIENT" or "CONFIG" or "OBJECT" or "COMMAND" or "MEMORY" or "DEBUG" or "PUBSUB" or "SLOWLOG" or "LATENCY" or "ACL" or "CLUSTER" or "MODULE" or "SCRIPT" or "FUNCTION"
            ? name + " " + Encoding.Latin1.GetString(line[1]).ToUpperInvariant()
            : name, Encode(line));
    }

    public static byte[] Encode(byte[][] line)
    {
        var request = new MemoryStream();
        request.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*{line.Length}\r\n")));
        foreach (byte[] argument in line)
        {
            request.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"${argument.Length}\r\n")));
            request.Write(argument);
            request.Write("\r\n"u8);
        }

        return request.ToArray();
    }

    private string[] Line() => random.Next(33) switch
    {
        0 or 1 or 2 => ["MULTI"],
        3 or 4 or 5 => ["EXEC"],
        6 => ["DISCARD"],
        7 => ["WATCH", .. Several(Key)],
        8 => ["UNWATCH"],
        9 => [Pick("SUBSCRIBE", "SSUBSCRIBE"), .. Several(Channel)],
        10 => ["PSUBSCRIBE", .. Several(() => Pick(s_patterns))],
        11 => [Pick("UNSUBSCRIBE", "SUNSUBSCRIBE"), .. Perhaps(() => Several(Channel))],
        12 => ["PUNSUBSCRIBE", .. Perhaps(() => Several(() => Pick(s_patterns)))],
        13 => [Pick("PUBLISH", "SPUBLISH"), Channel(), Word()],
        14 => ["PUBSUB", .. PubSub()],
        15 => ["HELLO", .. Perhaps(() => [Pick("2", "3", "3", "4", "1", "x", "03"), .. HelloOptions()])],
        16 => ["PING", .. Perhaps(() => Several(Word))],
        17 => [Pick("ECHO", "SELECT"), Pick("0", "0", "1", "15", "16", "-1", "x", "4294967296", "9223372036854775808", "01")],
        18 => random.OneIn(3) ? ["RESET"] : ["AUTH", .. Several(() => Pick("default", "x", "pass"))],
        19 or 20 => ["CLIENT", .. Client()],
        21 => ["CONFIG", .. Config()],
        22 or 23 => ["COMMAND", .. Command()],
        24 => random.OneIn(2) ? ["DUMP", Key()] : ["OBJECT", Pick("ENCODING", "refcount", "FREQ", "IDLETIME", "HELP", "x"), Key()],
        25 => ["DEBUG", .. Debug()],
        26 => ["MEMORY", .. Memory()],
        27 => ["SLOWLOG", .. SlowLog()],
        28 => ["LATENCY", .. Latency()],
        29 => Cluster(),
        30 => Scripts(),
        31 => Server(),
        _ => [Pick("FOO", "", "config get", "GET\0", new string('x', 200), "*1", "HSETS", "SET "), .. Several(Word), .. random.OneIn(2) ? [new string('y', 150)] : Array.Empty<string>()],
    };

    private string[] PubSub() => random.Next(6) switch
    {
        0 => ["CHANNELS"],
        1 => ["CHANNELS", Pick(s_patterns)],
        2 => ["NUMSUB", .. Several(Channel)],
        3 => ["NUMPAT"],
        4 => ["SHARDCHANNELS", .. Perhaps(() => [Pick(s_patterns)])],
        _ => [Pick("SHARDNUMSUB", "HELP", "x", "NUMSUB")],
    };

    private string[] HelloOptions() => random.OneIn(2) ? [] : random.Next(5) switch
    {
        0 => ["SETNAME", Pick("me", "m e", "", "\xff")],
        1 => ["AUTH", Pick("default", "x"), "pass"],
        2 => ["auth", "default", "y", "setname", "me"],
        3 => ["SETNAME"],
        _ => ["AUTH", "default"],
    };

    private string[] Client() => random.Next(19) switch
    {
        0 => ["SETNAME", Pick("me", "", "a b", "\n", "\xff", "~!")],
        1 => ["GETNAME"],
        2 => ["INFO"],
        3 => ["LIST", .. Perhaps(() => new[] { Pick("TYPE", "ID", "x"), Pick("normal", "pubsub", "slave", "replica", "master", "x", "0", "-1") })],
        4 => ["NO-EVICT", Pick("on", "OFF", "x")],
        5 => ["REPLY", Pick("ON", "SKIP", "on", "x", "OFF")],
        6 => ["REPLY", "ON"],
        7 or 8 => ["TRACKING", Pick("ON", "OFF", "on", "x"), .. TrackingOptions()],
        9 => ["CACHING", Pick("YES", "NO", "x")],
        10 => ["TRACKINGINFO"],
        11 => ["GETREDIR"],
        12 => ["KILL", .. random.Next(6) switch
        {
            0 => new[] { Pick("1.1.1.1:1", "x", "") },
            1 => ["TYPE", Pick("x", "slave", "master", "replica")],
            2 => ["ID", Pick("0", "-1", "x", "999999")],
            3 => ["SKIPME", Pick("yes", "no", "x"), "ID", "999999"],
            4 => ["USER", Pick("x", "nobody")],
            _ => ["ADDR", "1.1.1.1:1", "LADDR", "1.1.1.1:2", .. random.OneIn(2) ? ["x"] : Array.Empty<string>()],
        }],
        13 => ["PAUSE", Pick("x", "-1", "9223372036854775808"), .. Perhaps(() => new[] { Pick("ALL", "WRITE", "x") })],
        14 => ["UNPAUSE"],
        15 => ["UNBLOCK", Pick("x", "0", "999999", "-1"), .. Perhaps(() => new[] { Pick("TIMEOUT", "ERROR", "x") })],
        16 => ["HELP"],
        17 => [Pick("ID", "foo", "")],
        _ => [Pick("getname", "setname", "PAUSE", "KILL", "NO-TOUCH", "SETINFO")],
    };

    private string[] TrackingOptions() => random.OneIn(2) ? [] : [.. Enumerable.Range(0, random.Next(1, 3)).SelectMany<int, string>(_ => random.Next(7) switch
    {
        0 => ["BCAST"],
        1 => ["optin"],
        2 => ["OPTOUT"],
        3 => ["NOLOOP"],
        4 => ["PREFIX", Pick("a", "k", "", "key:")],
        5 => ["REDIRECT", Pick("0", "x", "999999", "-1")],
        _ => ["x"],
    })];

    private string[] Config()
    {
        string name = random.OneIn(2) ? Pick([.. Settings.Keys.Order(StringComparer.Ordinal)]) : Pick("maxmemory", "MAXMEMORY", "appendonly", "nothing", "tcp-keepalive", "lua-time-limit", "hash-max-ziplist-entries", "databases", "");
        return random.Next(5) switch
        {
            0 => ["GET", AnyCase(name), .. random.OneIn(3) ? [Pick("hz", "hz*", "h[z]", "nothing", "lfu*", "HZ", "list-max*")] : Array.Empty<string>()],
            1 => [Pick("RESETSTAT", "REWRITE", "HELP", "x")],
            _ => ["SET", AnyCase(name), SettingValue(name), .. random.OneIn(6) ? [Pick("hz", "lfu-log-factor", "nothing"), Pick("12", "x", "5mb")] : Array.Empty<string>()],
        };
    }

    private string SettingValue(string name) => random.OneIn(5) ? Pick("x", "", "-1", "1 2", "yes", "10%") : name switch
    {
        "notify-keyspace-events" => Pick("KEA", "K$", "Eg", "KExe", "q", "", "AKEmn", "El$xn"),
        // Passwords come with AUTH, and the harness gives none.
        "requirepass" => "",
        "maxmemory" or "MAXMEMORY" => Pick("0", "0b", "x"),
        "maxmemory-policy" => Pick("noeviction", "NOEVICTION", "lru"),
        "hz" => Pick("10", "100", "0", "501", "-5"),
        "proto-max-bulk-len" => Pick("64mb", "67108864", "64m", "1", "1048576k"),
        "rdbcompression" or "latency-tracking" => Pick("yes", "no", "YES", "1"),
        "client-output-buffer-limit" => Pick("normal 0 0 0", "pubsub 32mb 8mb 60", "x 0 0 0", "normal 1", "normal 0 0 0 pubsub 1mb 1mb 10", "slave 0 0 -1", "replica 1gb 2mb 3"),
        "oom-score-adj-values" => Pick("0 200 800", "1 2", "800 200 0", "a b c", "-2000 0 0"),
        "maxmemory-clients" => Pick("0", "5%", "10mb", "200%", "-1"),
        "slowlog-log-slower-than" => Pick("10000000", "-1", "-2", "1000000"),
        "masteruser" => Pick("", "x"),
        "latency-monitor-threshold" => Pick("0", "100000", "x"),
        _ => Pick("0", "1", "128", "yes", "no", "-2", "10"),
    };

    private string[] Command() => random.Next(8) switch
    {
        0 => ["INFO", .. Several(CommandName)],
        1 => ["DOCS", .. Several(CommandName)],
        2 or 3 => [Pick("GETKEYS", "GETKEYSANDFLAGS"), CommandName(), .. Several(Key)],
        4 or 5 => [Pick("GETKEYS", "GETKEYSANDFLAGS"), .. _data.Next().Select(Encoding.Latin1.GetString)],
        6 => ["LIST", Pick("FILTERBY", "x"), Pick("MODULE", "ACLCAT", "PATTERN", "x"), Pick("nothing", "foo", "", "xyz*")],
        _ => [Pick("HELP", "x", "GETKEYS"), .. Perhaps(() => Several(Word))],
    };

    private string[] Debug() => random.Next(12) switch
    {
        0 => ["SLEEP", Pick("0", "a", "0.0", "", "-1")],
        1 => ["SET-ACTIVE-EXPIRE", Pick("1", "x")],
        2 => ["ERROR", Pick("ERR foo", "FOO bar", "", "a\nb")],
        3 => ["PROTOCOL", Pick("string", "integer", "double", "null", "array", "set", "map", "attrib", "push", "verbatim", "true", "FALSE", "bignum", "x")],
        4 => ["STRINGMATCH-LEN", Pick("10", "x", "0"), Pick("*", "a*", "b", "")],
        5 => ["POPULATE", Pick("1", "x", "-1", "0", "2"), .. Perhaps(() => new[] { Pick("key", "a"), Pick("5", "x", "0", "-3") })],
        6 => ["OBJECT", Key()],
        7 => ["CHANGE-REPL-ID"],
        8 => ["JMAP"],
        9 => ["QUICKLIST-PACKED-THRESHOLD", Pick("100b", "x")],
        10 => ["REPLYBUFFER", Pick("PEAK-RESET-TIME", "x"), Pick("never", "reset", "100", "x")],
        _ => [Pick("x", "sleep", "object", "SET-ACTIVE-EXPIRE", "ERROR", "DICT-RESIZING", "SDS", "HTSTATS", "MALLCTL")],
    };

    private string[] Memory() => random.Next(4) switch
    {
        0 => ["USAGE", Key(), .. Perhaps(() => new[] { Pick("SAMPLES", "x"), Pick("0", "-1", "x", "5") })],
        1 => [Pick("HELP", "PURGE")],
        _ => [Pick("x", "USAGE", "MALLOC-STAT")],
    };

    private string[] SlowLog() => random.Next(4) switch
    {
        0 => ["GET", Pick("0", "-1", "-2", "x", "10")],
        1 => [Pick("RESET", "LEN", "HELP")],
        _ => [Pick("x", "GET", "LEN", "")],
    };

    private string[] Latency() => random.Next(5) switch
    {
        0 => [Pick("RESET", "HISTORY", "GRAPH"), Pick("command", "x", "fork")],
        1 => ["LATEST"],
        2 => ["HISTOGRAM", Pick("nothing", "x")],
        _ => [Pick("DOCTOR", "HELP", "x", "RESET")],
    };

    private string[] Cluster() => random.Next(4) switch
    {
        0 => ["CLUSTER", Pick("INFO", "NODES", "SLOTS", "x", "MYID", "SHARDS", "HELP", "RESET", "FAILOVER", "ADDSLOTS", "COUNT-FAILURE-REPORTS", "BUMPEPOCH", "FLUSHSLOTS", "SAVECONFIG", "LINKS")],
        1 => ["CLUSTER", Pick("KEYSLOT", "COUNTKEYSINSLOT", "MEET", "FORGET", "REPLICATE", "DELSLOTS", "ADDSLOTSRANGE"), .. Several(Key)],
        2 => [Pick("ASKING", "READONLY", "READWRITE")],
        _ => ["MODULE", Pick("LIST", "LIST", "HELP", "x", "UNLOAD", "LOAD", "LOADEX"), .. Perhaps(() => Several(Word))],
    };

    private string[] Scripts() => random.Next(5) switch
    {
        0 => ["SCRIPT", Pick("FLUSH", "EXISTS", "KILL", "x"), .. Perhaps(() => new[] { Pick("SYNC", "async", "x", "no") })],
        1 => ["FUNCTION", Pick("FLUSH", "LIST", "KILL", "STATS", "x", "DELETE", "DUMP"), .. Perhaps(() => Several(() => Pick("SYNC", "WITHCODE", "LIBRARYNAME", "x")))],
        _ => ["ACL", .. random.Next(6) switch
        {
            0 => new[] { Pick("WHOAMI", "LIST", "USERS", "CAT", "HELP") },
            1 => ["GETUSER", Pick("default", "nobody")],
            2 => ["CAT", Pick("nothing", "x")],
            3 => ["LOG", Pick("RESET", "x", "0")],
            4 => ["GENPASS", Pick("x", "0", "-1", "5000")],
            _ => [Pick("x", "WHOAMI", "GETUSER", "DELUSER", "LOAD", "SAVE", "DRYRUN")],
        }],
    };

    private string[] Server() => random.Next(9) switch
    {
        0 => ["WAIT", Pick("0", "x", "-1"), Pick("0", "x", "-1", "10")],
        1 => ["ROLE"],
        2 => ["LOLWUT", .. Perhaps(() => new[] { Pick("VERSION", "version", "x"), Pick("x", "1.5", "") })],
        3 => ["REPLICAOF", Pick("NO", "no", "x"), Pick("ONE", "x")],
        4 => ["SHUTDOWN", Pick("x", "ABORT"), .. Perhaps(() => ["x"])],
        5 => ["BGSAVE", Pick("x", "y")],
        6 => ["REPLCONF", .. Perhaps(() => new[] { Pick("listening-port", "capa", "x", "ip-address", "ACK", "GETACK"), Pick("x", "100", "eof") })],
        7 => ["FLUSHALL", Pick("x", "SYNC", "async")],
        _ => [Pick("TIME", "LASTSAVE", "MONITOR", "SAVE", "BGREWRITEAOF", "SYNC"), "x"],
    };

    private string Raw() => random.Next(20) switch
    {
        0 => "*1048577\r\n",
        1 => "*2147483648\r\n",
        2 => "*-5\r\nPING\r\n",
        3 => "*1\r\n$-1\r\n",
        4 => "*1\r\n$99999999999\r\n",
        5 => "*1\r\nx",
        6 => "*x\r\n",
        7 => "*1\r\n$x\r\n",
        8 => "SET a \"b\r\n",
        9 => "set a 'b c\\'d'\r\nget a\r\n",
        10 => "set a \"\\x41\\n\\\"\\q\"\nget a\n",
        11 => "ECHO a\0b c\r\n",
        12 => "\r\n\r\n  \r\nPING\r\n",
        13 => "*0\r\nPING\r\n",
        14 => new string('x', 70_000),
        15 => "*" + new string('1', 70_000),
        16 => "*1\r\n$" + new string('1', 70_000),
        17 => "echo \"a\"b\r\n",
        18 => "  ping\t\"\"  \r\nEXISTS '' \"\"\r\n",
        _ => "*2\r\n$4\r\nECHO\r\n$3\r\nabcxyPING\r\n",
    };

    // Redis does not have them.
    private static readonly string[] s_own = ["keyspace", "leader", "node", "readage", "readstale", "status"];

    private string CommandName() => random.OneIn(10) ? Pick("nothing", "client|nothing", "", "config|get|x", "set|x") : random.OneIn(2) ? Pick([.. commands.Where(static c => !c.StartsWith("script", StringComparison.Ordinal) && !c.StartsWith("function", StringComparison.Ordinal) && !s_own.Contains(c.Split('|')[0]))]) : Pick("set", "mget", "msetnx", "bitop", "sort", "copy", "object|encoding", "memory|usage", "GET", "lcs", "migrate");

    private string Word() => Pick("x", "hello world", "", "\0\r\n\xff", "1", new string('w', 30));

    private string Key() => Pick("a", "b", "c", "key:1", "key:2");

    private string Channel() => Pick(s_channels);

    private string AnyCase(string text) => random.Next(3) switch
    {
        0 => text.ToLowerInvariant(),
        1 => text.ToUpperInvariant(),
        _ => string.Concat(text.Select(c => random.OneIn(2) ? char.ToUpperInvariant(c) : char.ToLowerInvariant(c))),
    };

    private string[] Several(Func<string> draw) => [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => draw())];

    private string[] Perhaps(Func<string[]> draw) => random.OneIn(3) ? [] : draw();

    private string Pick(params string[] words) => words[random.Next(words.Length)];
}
