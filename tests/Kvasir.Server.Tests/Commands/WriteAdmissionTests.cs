using System.Globalization;
using System.Text;
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

    private static string Key(int number) => "key" + number.ToString(CultureInfo.InvariantCulture);

    private static string Ask(CommandWorld world, params string[] words) => Encoding.Latin1.GetString(world.Execute(words));

    private static IStorageEngine EngineOf(CommandWorld world) => world.Node.Database(0).Engine;
}
