using System.Text;
using System.Text.RegularExpressions;

namespace Kvasir.Server.Tests.Commands;

/// <summary>The replies in which Kvasir and Redis may differ, and how: whatever is not named here is the same bytes.</summary>
internal static partial class AllowedDifferences
{
    public static bool AreEqual(string name, byte[] redis, byte[] ours)
    {
        if (redis.AsSpan().SequenceEqual(ours))
            return true;
        string a = Fold(Encoding.Latin1.GetString(redis));
        // Where Redis has only numbers, a word may be a keyspace's name.
        string b = Fold(Encoding.Latin1.GetString(ours)).Replace(
            "-ERR there is no such keyspace: see KEYSPACE LIST\r\n", "-ERR value is not an integer or out of range\r\n", StringComparison.Ordinal);
        // To a client that wants no replies Redis does not say what was wrong, and it forgets to close.
        if (a is "(open)" && b.Length == 0)
            return true;
        return name switch
        {
            // Keys and channels come in any order, settings and subcommands, too.
            // Of the letters An Redis shows only the first.
            "CONFIG GET" when b.Contains("notify-keyspace-events", StringComparison.OrdinalIgnoreCase) =>
                AreSameLines(Lengths().Replace(a, "#"), Lengths().Replace(b.Replace("\r\nAn", "\r\nA", StringComparison.Ordinal), "#")),
            "KEYS" or "SCAN" or "RANDOMKEY" or "PUBSUB CHANNELS" or "PUBSUB SHARDCHANNELS" or "CONFIG GET" or "COMMAND INFO" or "COMMAND DOCS"
                or "COMMAND LIST" or "ACL CAT" => AreSameLines(a, b),
            // So do confirmations of an UNSUBSCRIBE from everything, also within a block.
            "EXEC" or "UNSUBSCRIBE" or "PUNSUBSCRIBE" or "SUNSUBSCRIBE" => AreSameLines(a, b),
            // Memory is laid out otherwise; clocks differ by a little.
            "CLIENT ID" or "MEMORY USAGE" or "DEBUG OBJECT" or "TTL" or "PTTL" or "EXPIRETIME" or "PEXPIRETIME" or "OBJECT IDLETIME" => HasSameShape(a, b),
            // A message that several patterns match comes once for each, in any order.
            _ => string.Equals(a, b, StringComparison.Ordinal) || (a.Contains("pmessage", StringComparison.Ordinal) && AreSameLines(a, b)),
        };
    }

    /// <summary>Those that are not the same bytes; they stay out of blocks, whose replies are compared as a whole.</summary>
    public static IReadOnlySet<string> Named { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "KEYS", "SCAN", "RANDOMKEY", "PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS", "CONFIG GET", "COMMAND INFO", "COMMAND DOCS", "COMMAND LIST", "ACL CAT",
        "MEMORY USAGE", "DEBUG OBJECT", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "OBJECT IDLETIME", "DBSIZE", "CLIENT ID", "CLIENT LIST", "CLIENT INFO", "HELLO",
    };

    /// <summary>The first place where they differ when all is folded that may be.</summary>
    public static string Explain(byte[] redis, byte[] ours)
    {
        string a = Fold(Encoding.Latin1.GetString(redis));
        string b = Fold(Encoding.Latin1.GetString(ours));
        int at = a.AsSpan().CommonPrefixLength(b);
        return $"folded, from {at}: {a[at..Math.Min(a.Length, at + 60)].ReplaceLineEndings("|")} / {b[at..Math.Min(b.Length, at + 60)].ReplaceLineEndings("|")}";
    }

    /// <summary>Identities, addresses, times and sizes.</summary>
    private static string Fold(string text)
    {
        text = Connection().Replace(text, "$1=*");
        text = HelloId().Replace(text, "id\r\n:*");
        text = Address().Replace(text, "Value at:*");
        text = Bulk().Replace(text, "$$#\r\n");
        return text;
    }

    private static bool AreSameLines(string a, string b) =>
        a.Split("\r\n").Order(StringComparer.Ordinal).SequenceEqual(b.Split("\r\n").Order(StringComparer.Ordinal), StringComparer.Ordinal);

    private static bool HasSameShape(string a, string b) => string.Equals(Digits().Replace(a, "#"), Digits().Replace(b, "#"), StringComparison.Ordinal);

    [GeneratedRegex(@"\b(id|addr|laddr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem|events)=[^ ]*", RegexOptions.None, 1000)]
    private static partial Regex Connection();

    [GeneratedRegex(@"Value at:\S+", RegexOptions.None, 1000)]
    private static partial Regex Address();

    [GeneratedRegex(@"id\r\n:\d+", RegexOptions.None, 1000)]
    private static partial Regex HelloId();

    [GeneratedRegex(@"(?<=id=.*)\$\d+\r\n|[$=]\d+\r\n(?=(txt:)?id=)", RegexOptions.None, 1000)]
    private static partial Regex Bulk();

    [GeneratedRegex(@"\$\d+", RegexOptions.None, 1000)]
    private static partial Regex Lengths();

    [GeneratedRegex(@"\d+", RegexOptions.None, 1000)]
    private static partial Regex Digits();
}
