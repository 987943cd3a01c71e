using System.Globalization;
using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Simulation.Models;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;

namespace Kvasir.Server.Tests.Commands;

/// <summary>What an engine cannot take is refused before it is written anywhere.</summary>
public sealed class WriteAdmissionTests
{
    private static readonly HashLogEngineFactory s_smallIndex = new(HashLogOptions.Tiny with { IndexBytes = 300_000 });

    [Fact]
    public void KeysThatTheEngineCannotTakeAreRefused()
    {
        using CommandWorld world = new(engine: BTreeEngineFactory.Tiny);
        string longest = new('k', 992), tooLong = new('k', 993);
        Assert.Equal("+OK\r\n", Ask(world, "SET", longest, "1"));
        Assert.Equal("$1\r\n1\r\n", Ask(world, "GET", longest));
        string refusal = "-ERR key is longer than 992 bytes, the most that engine btree of keyspace db0 takes\r\n";
        foreach (string[] command in (string[][])
        [
            ["SET", tooLong, "1"], ["APPEND", tooLong, "1"], ["INCR", tooLong], ["MSET", "a", "1", tooLong, "2"], ["RENAME", longest, tooLong],
            ["COPY", longest, tooLong], ["COPY", longest, tooLong, "DB", "1"], ["BITOP", "NOT", tooLong, longest], ["SETBIT", tooLong, "1", "1"],
        ])
            Assert.Equal(refusal.Replace("db0", command.Contains("DB", StringComparer.Ordinal) ? "db1" : "db0", StringComparison.Ordinal), Ask(world, command));
        Assert.Equal(":0\r\n", Ask(world, "DEL", tooLong));
        Assert.Equal("$-1\r\n", Ask(world, "GET", tooLong));
        Assert.Equal(":0\r\n", Ask(world, "EXPIRE", tooLong, "10"));
        Assert.Equal(":1\r\n", Ask(world, "DBSIZE"));

        // In a block the others run, as with any command that fails in one.
        Ask(world, "MULTI");
        Ask(world, "SET", "b", "1");
        Ask(world, "SET", tooLong, "1");
        Assert.Equal("*2\r\n+OK\r\n" + refusal, Ask(world, "EXEC"));
        Assert.Equal("$1\r\n1\r\n", Ask(world, "GET", "b"));
    }

    /// <summary>A value that one keyspace has may be longer than another one takes.</summary>
    [Theory]
    [InlineData("COPY", "long", "long", "DB", "narrow")]
    [InlineData("COPY", "long", "there", "DB", "narrow", "REPLACE")]
    [InlineData("MOVE", "long", "narrow")]
    public void AValueThatTheOtherEngineCannotTakeIsRefusedAndTheConnectionStays(params string[] command)
    {
        using CommandWorld world = new(engine: Model("lsm"), others: [Model("btree", valueBytesMax: 1000)]);
        SessionPeer client = world.Connect();
        Assert.Equal("+OK\r\n", client.Execute("KEYSPACE CREATE narrow engine btree"));
        client.Execute("SELECT narrow");
        client.Execute("SET there 1");
        Assert.Equal(TooLong("narrow"), client.Execute("SET long " + new string('v', 937)));
        Assert.Equal("+OK\r\n", client.Execute("SET longest " + new string('v', 936)));
        client.Execute("SELECT 0");
        client.Execute("SET long " + new string('v', 1000));
        client.Execute("SET fits " + new string('v', 900));

        Assert.Equal(TooLong("narrow"), client.Execute(string.Join(' ', command)));
        Assert.False(client.IsClosed);
        Assert.Equal(":1000\r\n", client.Execute("STRLEN long"));
        Assert.Equal(":1\r\n", client.Execute("COPY fits fits DB narrow"));
        client.Execute("SELECT narrow");
        Assert.Equal("$1\r\n1\r\n", client.Execute("GET there"));
        Assert.Equal(":0\r\n", client.Execute("EXISTS long"));
        Assert.Equal(":3\r\n", client.Execute("DBSIZE"));
    }

    /// <summary>What was there before a conversion began may be too long for the engine that it goes to.</summary>
    [Theory]
    [InlineData("COPY", "long", "to")]
    [InlineData("RENAME", "long", "to")]
    [InlineData("RENAMENX", "long", "to")]
    [InlineData("BITOP", "NOT", "to", "long")]
    [InlineData("EXPIRE", "long", "10")]
    [InlineData("PERSIST", "expires")]
    [InlineData("GETEX", "long", "EX", "10")]
    [InlineData("GETEX", "expires", "PERSIST")]
    [InlineData("SETBIT", "long", "1", "1")]
    [InlineData("BITFIELD", "long", "SET", "u8", "0", "1")]
    [InlineData("SETBIT", "short", "7488", "1")]
    [InlineData("BITFIELD", "short", "SET", "u8", "7488", "1")]
    [InlineData("BITFIELD", "short", "INCRBY", "u8", "#936", "1")]
    [InlineData("SETRANGE", "long", "1", "x")]
    [InlineData("SETRANGE", "short", "950", "x")]
    [InlineData("APPEND", "long", "x")]
    [InlineData("RESTORE", "to", "0", "dumped")]
    public void WhileAConversionIsUnderWayTheEngineWhoseLimitItIsIsNamed(params string[] command)
    {
        using CommandWorld world = new(engine: Model("lsm"));
        SessionPeer client = world.Connect();
        string value = new('v', 1000);
        client.Execute("SET long " + value);
        client.Execute("SET expires " + value + " EX 100");
        client.Execute("SET short v");
        byte[] dump = client.Execute("DUMP"u8.ToArray(), "long"u8.ToArray());
        world.Node.Database(0).Shared = new SharedLimits(100, "btree", 1000, "btree", long.MaxValue, "btree");

        byte[][] words = [.. command.Select(static w => Encoding.Latin1.GetBytes(w))];
        if (command[^1] == "dumped")
            words[^1] = dump[(dump.AsSpan().IndexOf("\n"u8) + 1)..^2];
        Assert.Equal(TooLong("db0"), Encoding.Latin1.GetString(client.Execute(words)));
        Assert.False(client.IsClosed);
        Assert.Equal(TooLong("db0"), client.Execute("SET short " + new string('v', 937)));

        // Nothing has changed, all of it is read, and what makes it fit runs.
        Assert.Equal(":1\r\n", client.Execute("GETBIT long 7998"));
        Assert.Equal("*1\r\n:118\r\n", client.Execute("BITFIELD long GET u8 #999"));
        Assert.Equal("-ERR bit offset is not an integer or out of range\r\n", client.Execute("SETBIT short 4294967296000 1"));
        Assert.Equal($"*5\r\n$1000\r\n{value}\r\n$1000\r\n{value}\r\n$1\r\nv\r\n$-1\r\n$-1\r\n", client.Execute("MGET long expires short to other"));
        Assert.Equal(":-1\r\n", client.Execute("TTL long"));
        Assert.Equal(":100\r\n", client.Execute("TTL expires"));
        Assert.Equal("+OK\r\n", client.Execute("SET long 1"));
        Assert.Equal(":1\r\n", client.Execute("DEL expires"));
        Assert.Equal(":2\r\n", client.Execute("DBSIZE"));
    }

    [Theory]
    [InlineData("EXPIRE", "KEY", "10")]
    [InlineData("GETEX", "KEY", "EX", "10")]
    [InlineData("INCR", "KEY")]
    public void AKeyThatIsTooLongForTheOtherEngineIsRefusedToo(params string[] command)
    {
        using CommandWorld world = new(engine: Model("lsm"));
        SessionPeer client = world.Connect();
        string key = new('k', 101);
        client.Execute($"SET {key} 1");
        world.Node.Database(0).Shared = new SharedLimits(100, "btree", 1000, "btree", long.MaxValue, "btree");
        Assert.Equal(
            "-ERR key is longer than 100 bytes, the most that engine btree of keyspace db0 takes\r\n",
            client.Execute(string.Join(' ', command).Replace("KEY", key, StringComparison.Ordinal)));
        Assert.False(client.IsClosed);
        Assert.Equal($"+OK\r\n", client.Execute("SET short 1"));
        Assert.Equal(":-1\r\n", client.Execute($"TTL {key}"));
        Assert.Equal(":1\r\n", client.Execute($"DEL {key}"));
    }

    [Fact]
    public void AFullIndexTakesNoNewKeysAndEverythingElse()
    {
        using CommandWorld world = new(engine: s_smallIndex);
        int keys = 0;
        string answer;
        do
            answer = Ask(world, "SET", Key(keys++), "1");
        while (answer == "+OK\r\n");
        keys--;
        Assert.StartsWith("-OOM keyspace db0 takes no new keys", answer, StringComparison.Ordinal);
        Assert.InRange(keys, 300_000 / 40, 300_000 / 20);

        foreach (string[] command in (string[][])[["SETNX", "new", "1"], ["MSET", Key(0), "1", "new", "1"], ["RENAME", Key(0), "new"], ["COPY", Key(0), "new"]])
            Assert.StartsWith("-OOM ", Ask(world, command), StringComparison.Ordinal);
        Assert.StartsWith("-OOM ", Ask(world, "DEBUG", "POPULATE", "2", "new"), StringComparison.Ordinal);
        Assert.Equal("$-1\r\n", Ask(world, "GET", "new:0"));
        Assert.Equal("$-1\r\n", Ask(world, "GET", "new"));
        Assert.Equal("+OK\r\n", Ask(world, "SET", Key(1), "2"));
        Assert.Equal(":3\r\n", Ask(world, "INCR", Key(1)));
        Assert.Equal(":1\r\n", Ask(world, "EXPIRE", Key(2), "1000"));
        Assert.Equal(":1\r\n", Ask(world, "DEL", Key(3)));
        Assert.Equal("$1\r\n1\r\n", Ask(world, "GET", Key(0)));

        // Another database has room of its own.
        Assert.Equal(":1\r\n", Ask(world, "COPY", Key(0), "new", "DB", "1"));
        Assert.Contains("kvasir_indexes_near_limit:db0=9", Ask(world, "INFO", "memory"), StringComparison.Ordinal);

        // What was deleted makes room once it is merged away.
        for (int i = 4; i < keys; i++)
            Ask(world, "DEL", Key(i));
        EngineOf(world).Flush();
        world.Scheduler.RunAll();
        EngineOf(world).Compact();
        Assert.Equal("+OK\r\n", Ask(world, "SET", "new", "1"));
    }

    /// <summary>What a journal has is taken, whatever the memory is by now.</summary>
    [Fact]
    public void AJournalIsReplayedIntoAFullIndex()
    {
        using CommandWorld world = new(engine: s_smallIndex);
        for (int i = 0; Ask(world, "SET", Key(i), "1") == "+OK\r\n"; i++)
        {
        }

        string size = Ask(world, "DBSIZE");
        world.Node.Reload();
        Assert.Equal(size, Ask(world, "DBSIZE"));
        Assert.StartsWith("-OOM ", Ask(world, "SET", "new", "1"), StringComparison.Ordinal);
    }

    private static ModelEngineFactory Model(string name, int valueBytesMax = int.MaxValue) => new() { Name = name, ValueBytesMax = valueBytesMax };

    private static string TooLong(string keyspace) =>
        $"-ERR value is longer than 936 bytes, the most that engine btree of keyspace {keyspace} takes\r\n";

    private static string Key(int number) => "key" + number.ToString(CultureInfo.InvariantCulture);

    private static string Ask(CommandWorld world, params string[] words) => Encoding.Latin1.GetString(world.Execute(words));

    private static IStorageEngine EngineOf(CommandWorld world) => world.Node.Database(0).Engine;
}
