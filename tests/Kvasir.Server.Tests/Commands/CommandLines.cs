using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// Draws command lines that mean something often and nothing sometimes: few keys, so that commands meet; options right,
/// wrong, doubled and in either case; numbers at the edges. Deadlines are far away or long past, never near.
/// </summary>
internal sealed class CommandLines(SeededRandom random)
{
    private static readonly string[] s_keys = ["a", "b", "c", "key:1", "key:2", "k[x]", "", "\0\r\n\xff"];

    private static readonly string[] s_integers =
    [
        "0", "1", "-1", "2", "3", "5", "7", "8", "10", "15", "16", "31", "63", "64", "100", "-2", "-3", "-8", "-100", "9223372036854775807",
        "-9223372036854775808", "9223372036854775808", "4294967296", "2147483648", "-2147483649", "9999", "10000",
    ];

    private static readonly string[] s_badNumbers = ["", "x", " 1", "1 ", "01", "+1", "-0", "1.0", "1e3", "0x10", "12345678901234567890123"];

    private static readonly string[] s_floats =
    [
        "1.5", "-1.5", "0.1", "0.2", "3.0e3", "1e-5", "-0.000001", "3.14159265358979", "1e17", "1e19", "123456789.123456789", "0.30000000000000004",
        "1e40", "-1e-40", "0x1p-2", "0x1.8p1", ".5", "5.", "1e", "inf", "-inf", "nan", "1e5000", "1e-5000", "1e4930", "17179869184", "9007199254740993",
    ];

    private static readonly string[] s_edges =
    [
        "0", "-1", "-1000", "9223372036854775807", "-9223372036854775808",
        "9223372036854776", "-9223372036854776",
    ];

    public static IEnumerable<byte[]> Keys => s_keys.Select(Encoding.Latin1.GetBytes);

    public byte[][] Next() => [.. Line().Select(Encoding.Latin1.GetBytes)];

    private string[] Line()
    {
        if (random.OneIn(40))
            return Truncated();
        return random.Next(46) switch
        {
            0 or 1 or 2 => ["SET", Key(), Value(), .. SetOptions()],
            3 => ["GET", Key()],
            4 => ["GETEX", Key(), .. SetOptions()],
            5 => ["GETDEL", Key()],
            6 => ["GETSET", Key(), Value()],
            7 => ["SETNX", Key(), Value()],
            8 => [Pick("SETEX", "PSETEX"), Key(), FarNumber(), Value()],
            9 => ["MGET", .. Several(Key)],
            10 => [Pick("MSET", "MSETNX"), .. Several(Key).SelectMany(k => new[] { k, Value() })],
            11 => ["APPEND", Key(), Value()],
            12 => ["STRLEN", Key()],
            13 => [Pick("GETRANGE", "SUBSTR"), Key(), SmallInteger(), SmallInteger()],
            14 => ["SETRANGE", Key(), OneOf(["-1", "536870912", "9223372036854775807", "x"], Small(), 12), Value()],
            15 or 16 => [Pick("INCR", "DECR"), Key()],
            17 => [Pick("INCRBY", "DECRBY"), Key(), Integer()],
            18 or 19 => ["INCRBYFLOAT", Key(), random.OneIn(3) ? Integer() : OneOf(s_floats)],
            20 => ["LCS", Key(), Key(), .. Options("LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN:")],
            21 => ["SETBIT", Key(), BitPlace(), OneOf(["2", "-1", "x"], Pick("0", "1"), 10)],
            22 => ["GETBIT", Key(), BitPlace()],
            23 => ["BITCOUNT", Key(), .. BitRange()],
            24 => ["BITPOS", Key(), OneOf(["2", "x"], Pick("0", "1"), 10), .. BitRange()],
            25 => ["BITOP", Pick("AND", "or", "XOR", "NOT", "NOR"), Key(), .. Several(Key)],
            26 or 27 => [random.OneIn(5) ? "BITFIELD_RO" : "BITFIELD", Key(), .. BitFieldOperations()],
            28 => [Pick("DEL", "UNLINK", "EXISTS", "TOUCH"), .. Several(Key)],
            29 => [Pick("EXPIRE", "PEXPIRE"), Key(), FarNumber(), .. Options("NX", "XX", "GT", "LT")],
            30 => ["PEXPIREAT", Key(), Deadline(1), .. Options("NX", "XX", "GT", "LT")],
            31 => ["EXPIREAT", Key(), Deadline(1000), .. Options("NX", "XX", "GT", "LT")],
            32 => [Pick("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), Key()],
            33 => ["PERSIST", Key()],
            34 => [Pick("RENAME", "RENAMENX"), Key(), Key()],
            35 => ["COPY", Key(), Key(), .. Options("REPLACE", "DB:")],
            36 => ["MOVE", Key(), OneOf(["0", "1", "2", "16", "-1", "x"])],
            37 => ["SELECT", Pick("0", "0", "1", "2")],
            38 => ["TYPE", Key()],
            39 => ["OBJECT", Pick("ENCODING", "encoding"), Key()],
            40 => ["KEYS", Pattern()],
            41 => ["SCAN", "0", "COUNT", "1000", .. Options("MATCH:", "TYPE:")],
            42 => ["SORT", Key(), .. Options("ASC", "ALPHA", "BY:", "STORE:")],
            43 => ["DBSIZE"],
            44 => random.OneIn(10) ? [Pick("FLUSHDB", "FLUSHALL"), .. Options("ASYNC", "SYNC")] : ["SWAPDB", Pick("0", "1", "2"), Pick("0", "1", "2", "16", "x")],
            _ => ["RESTORE", Key(), FarNumber(), Value(), .. Options("REPLACE", "ABSTTL", "IDLETIME:", "FREQ:")],
        };
    }

    /// <summary>A line cut or lengthened where it may not be.</summary>
    private string[] Truncated()
    {
        string[] line = Line();
        // SELECT belongs to the session, and a container without its subcommand to the dispatcher.
        if (line[0] is "SELECT" or "OBJECT")
            return line;
        return random.OneIn(2) || line.Length == 1 ? [.. line, Value()] : line[..^1];
    }

    private string Key() => OneOf(s_keys);

    private string Value()
    {
        switch (random.Next(8))
        {
            case 0:
                return Integer();
            case 1:
                return OneOf(s_floats);
            case 2:
                return OneOf(s_badNumbers);
            case 3:
                return new string((char)('a' + random.Next(3)), random.Next(70));
            case 4:
                byte[] bytes = new byte[random.Next(12)];
                random.NextBytes(bytes);
                return Encoding.Latin1.GetString(bytes);
            default:
                return string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => "abc12"[random.Next(5)]));
        }
    }

    private string Integer() => random.OneIn(12) ? OneOf(s_badNumbers)
        : random.OneIn(3) ? ((long)random.NextUInt64() >> random.Next(64)).ToString(CultureInfo.InvariantCulture)
        : OneOf(s_integers);

    private string Small() => random.Next(40).ToString(CultureInfo.InvariantCulture);

    private string SmallInteger() => random.OneIn(8) ? Integer() : random.Next(-20, 20).ToString(CultureInfo.InvariantCulture);

    private string BitPlace() => random.OneIn(10)
        ? OneOf(["-1", "x", "4294967296", "9223372036854775807"])
        : random.Next(300).ToString(CultureInfo.InvariantCulture);

    /// <summary>Far in the future or in the past.</summary>
    private string Deadline(long unit) => random.OneIn(6) ? OneOf(s_badNumbers)
        : random.OneIn(4) ? random.Next(1000).ToString(CultureInfo.InvariantCulture)
        : (33_000_000_000_000 / unit + random.Next(1000)).ToString(CultureInfo.InvariantCulture);

    /// <summary>A time to live that does not end before the run does.</summary>
    private string FarNumber() => random.Next(12) switch
    {
        0 => OneOf(s_badNumbers),
        1 or 2 => OneOf(s_edges),
        _ => random.Next(50_000, 1_000_000_000).ToString(CultureInfo.InvariantCulture),
    };

    private string Pattern() => random.Next(4) switch
    {
        0 => "*",
        1 => OneOf(["key:*", "[a-b]", "[^a]", "?", "k\\[x\\]", "k[[]x]", "*:[12]", "[c-a]", "[a", "a\\", "**", "*a*"]),
        _ => string.Concat(Enumerable.Range(0, random.Next(1, 6)).Select(_ => Pick("*", "?", "[", "]", "a", "k", "-", "^", "\\", "1", ":"))),
    };

    private string[] SetOptions()
    {
        if (random.OneIn(2))
            return [];
        return [.. Enumerable.Range(0, random.Next(1, 4)).SelectMany<int, string>(_ => random.Next(9) switch
        {
            0 => ["nx"],
            1 => ["XX"],
            2 => ["GET"],
            3 => ["KeepTTL"],
            4 => ["PERSIST"],
            5 => [Pick("EX", "px"), FarNumber()],
            6 => ["EXAT", Deadline(1000)],
            7 => ["PXAT", Deadline(1)],
            _ => [Value()],
        })];
    }

    /// <summary>Some of the words; one that ends in a colon takes an argument.</summary>
    private string[] Options(params string[] words)
    {
        if (random.OneIn(2))
            return [];
        return [.. Enumerable.Range(0, random.Next(1, 3)).SelectMany<int, string>(_ =>
        {
            if (random.OneIn(15))
                return [Value()];
            string word = OneOf(words);
            return word switch
            {
                "MATCH:" => ["MATCH", Pattern()],
                "TYPE:" => ["TYPE", Pick("string", "STRING", "hash", "x")],
                "DB:" => ["DB", Pick("0", "1", "2", "16", "x")],
                "BY:" or "STORE:" => [word[..^1], Key()],
                _ when word.EndsWith(':') => [word[..^1], Integer()],
                _ => [random.OneIn(2) ? word : word.ToLowerInvariant()],
            };
        })];
    }

    private string[] BitRange() => random.Next(4) switch
    {
        0 => [],
        1 => [SmallInteger()],
        2 => [SmallInteger(), SmallInteger()],
        _ => [SmallInteger(), SmallInteger(), Pick("BIT", "byte", "bit", "x")],
    };

    private string[] BitFieldOperations() =>
    [
        .. Enumerable.Range(0, random.Next(4)).SelectMany<int, string>(_ => random.Next(4) switch
        {
            0 => ["GET", FieldType(), FieldOffset()],
            1 => ["set", FieldType(), FieldOffset(), Integer()],
            2 => ["INCRBY", FieldType(), FieldOffset(), Integer()],
            _ => ["OVERFLOW", Pick("WRAP", "sat", "FAIL", "FAIL", "x")],
        }),
    ];

    private string FieldType() => random.OneIn(20) ? Pick("u64", "i65", "u0", "x8", "i", "") : Pick("i", "u") + random.Next(1, 64).ToString(CultureInfo.InvariantCulture);

    private string FieldOffset() => random.OneIn(20) ? Pick("-1", "x", "#x", "#-1", "4294967296")
        : random.OneIn(3) ? "#" + random.Next(6).ToString(CultureInfo.InvariantCulture)
        : random.Next(120).ToString(CultureInfo.InvariantCulture);

    private string[] Several(Func<string> draw) => [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => draw())];

    private string Pick(params string[] words) => OneOf(words);

    private string OneOf(string[] words) => words[random.Next(words.Length)];

    /// <summary>One of the words, or rarely (once in <paramref name="n"/>) the other way round: see the callers.</summary>
    private string OneOf(string[] rare, string usual, int n) => random.OneIn(n) ? OneOf(rare) : usual;
}
