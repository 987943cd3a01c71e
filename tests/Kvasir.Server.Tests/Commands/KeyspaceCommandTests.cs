using System.Text;
using Kvasir.Storage.BTree;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Commands;

/// <summary>KEYSPACE and SELECT by name on a server that is alone.</summary>
public sealed class KeyspaceCommandTests : IDisposable
{
    private const string Dropped = "-ERR the keyspace of this database was dropped: SELECT another\r\n";

    private readonly CommandWorld _world = new(
        engine: new LsmEngineFactory(LsmOptions.Tiny), others: [new HashLogEngineFactory(HashLogOptions.Tiny), BTreeEngineFactory.Tiny]);

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("lsm")]
    [InlineData("log")]
    [InlineData("btree")]
    public void AKeyspaceOfEachEngineTakesEveryCommandOfADatabase(string engine)
    {
        Assert.Equal("+OK\r\n", Ask($"KEYSPACE CREATE sessions engine {engine}"));
        Assert.Contains("already", Ask("KEYSPACE CREATE sessions"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", Ask("SELECT sessions"));
        Assert.Equal("$-1\r\n", Ask("RANDOMKEY"));
        for (int i = 0; i < 100; i++)
            Ask($"SET key{i} {i}");
        Assert.Equal(":100\r\n", Ask("DBSIZE"));
        Assert.StartsWith("$", Ask("RANDOMKEY"), StringComparison.Ordinal);
        Assert.StartsWith("*100\r\n", Ask("KEYS *"), StringComparison.Ordinal);
        SortedSet<string> found = new(StringComparer.Ordinal);
        string cursor = "0";
        do
        {
            string[] lines = Ask($"SCAN {cursor} COUNT 7").Split("\r\n");
            cursor = lines[2];
            found.UnionWith(lines.Where(l => l.StartsWith("key", StringComparison.Ordinal)));
        }
        while (cursor != "0");
        Assert.Equal(100, found.Count);
        Assert.Equal(":1\r\n", Ask("EXPIRE key0 1"));
        Assert.Equal(":1\r\n", Ask("COPY key1 other DB 0"));
        Assert.Equal(":1\r\n", Ask("MOVE key2 3"));
        Assert.Contains($"keyspace_sessions:keys=99,expires=1,avg_ttl=", Ask("INFO keyspace"), StringComparison.Ordinal);
        Assert.Contains($",engine={engine}", Ask("INFO keyspace"), StringComparison.Ordinal);
        _world.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal("$-1\r\n", Ask("GET key0"));
        Assert.Equal(":98\r\n", Ask("DBSIZE"));

        // A block is atomic over keyspaces.
        Ask("MULTI");
        Ask("SET a 1");
        Ask("SELECT 0");
        Ask("SET a 2");
        Assert.Equal("*3\r\n+OK\r\n+OK\r\n+OK\r\n", Ask("EXEC"));
        Assert.Equal("$1\r\n2\r\n", Ask("GET a"));
        Ask("SELECT sessions");
        Assert.Equal("$1\r\n1\r\n", Ask("GET a"));
        Assert.Equal("+OK\r\n", Ask("FLUSHDB"));
        Assert.Equal(":0\r\n", Ask("DBSIZE"));
        Ask("SET a 1");
        Assert.Equal("+OK\r\n", Ask("FLUSHALL"));
        Assert.Equal(":0\r\n", Ask("DBSIZE"));
    }

    [Fact]
    public void KeysAreCopiedAndMovedToKeyspacesByTheirNames()
    {
        Ask("KEYSPACE CREATE sessions engine log");
        Ask("SET a 1");
        Assert.Equal(":1\r\n", Ask("COPY a b DB sessions"));
        Assert.Equal(":0\r\n", Ask("COPY a b DB sessions"));
        Assert.Equal(":1\r\n", Ask("COPY a b DB sessions REPLACE"));
        Assert.Equal(":1\r\n", Ask("COPY a b DB db0"));
        Assert.Equal(":1\r\n", Ask("MOVE a sessions"));
        Assert.Equal(":0\r\n", Ask("MOVE a sessions"));
        Assert.Equal(":0\r\n", Ask("EXISTS a"));
        Ask("SELECT sessions");
        Assert.Equal(":2\r\n", Ask("EXISTS a b"));
        Assert.Equal(":1\r\n", Ask("MOVE a db3"));
        Assert.Equal("-ERR source and destination objects are the same\r\n", Ask("MOVE b sessions"));
        Assert.Equal("-ERR source and destination objects are the same\r\n", Ask("COPY b b DB sessions"));
        Assert.Equal("-ERR value is not an integer or out of range\r\n", Ask("MOVE b none"));
        Assert.Equal("-ERR value is not an integer or out of range\r\n", Ask("COPY b c DB none"));
        Ask("SELECT 3");
        Assert.Equal("$1\r\n1\r\n", Ask("GET a"));
        Ask("KEYSPACE DROP sessions");
        Assert.Equal("-ERR value is not an integer or out of range\r\n", Ask("COPY a b DB sessions"));
    }

    [Fact]
    public void WhatThereIsIsToldAndWhatCannotBeIsRefused()
    {
        Assert.Equal("-ERR there is no such keyspace: see KEYSPACE LIST\r\n", Ask("SELECT sessions"));
        foreach (string number in (string[])["1x", "-", "99999999999999999999"])
            Assert.Equal("-ERR value is not an integer or out of range\r\n", Ask("SELECT " + number));
        Assert.Equal("-ERR DB index is out of range\r\n", Ask("SELECT 16"));
        Assert.StartsWith("*16\r\n", Ask("KEYSPACE LIST"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", Ask("KEYSPACE CREATE sessions engine log durability interval"));
        Assert.StartsWith("*17\r\n", Ask("KEYSPACE LIST"), StringComparison.Ordinal);
        string shown = Ask("KEYSPACE SHOW sessions");
        foreach (string word in (string[])["log", "interval", "index-percent", "static"])
            Assert.Contains($"\r\n{word}\r\n", shown, StringComparison.Ordinal);
        Assert.Contains("\r\nlsm\r\n", Ask("KEYSPACE SHOW db3"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", Ask("SELECT db3"));
        Assert.Contains("db=3 ", Ask("CLIENT INFO"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no such keyspace", Ask("KEYSPACE SHOW none"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no keyspace 'none'", Ask("KEYSPACE DROP none"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR 'db3' is a database", Ask("KEYSPACE DROP db3"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR a node that is alone", Ask("KEYSPACE CREATE more shards 4"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no engine", Ask("KEYSPACE CREATE more engine rocks"), StringComparison.Ordinal);
        Assert.Equal("-ERR DB index is out of range\r\n", Ask("SWAPDB 0 16"));
        Ask("MULTI");
        Assert.StartsWith("-ERR Command not allowed inside a transaction", Ask("KEYSPACE CREATE inside"), StringComparison.Ordinal);
        Ask("DISCARD");
        Assert.StartsWith("-ERR this server is not part of a cluster", Ask("STATUS"), StringComparison.Ordinal);
    }

    [Fact]
    public void WhoeverIsInADroppedKeyspaceIsToldSo()
    {
        Ask("KEYSPACE CREATE sessions engine log");
        Ask("SELECT sessions");
        Ask("SET a 1");
        SessionPeer other = _world.Connect();
        other.Execute([.. "SELECT sessions".Split(' ').Select(Encoding.ASCII.GetBytes)]);
        other.Execute([.. "WATCH a".Split(' ').Select(Encoding.ASCII.GetBytes)]);
        Assert.Equal("+OK\r\n", Ask("KEYSPACE DROP sessions"));
        foreach (string command in (string[])["GET a", "SET a 2", "DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "FLUSHDB", "FLUSHALL", "DEL a", "EXISTS a"])
            Assert.Equal(Dropped, Ask(command));
        Assert.Equal("+PONG\r\n", Ask("PING"));
        Assert.Equal(Dropped, Encoding.ASCII.GetString(other.Execute([.. "GET a".Split(' ').Select(Encoding.ASCII.GetBytes)])));
        Assert.Equal("-ERR there is no such keyspace: see KEYSPACE LIST\r\n", Ask("SELECT sessions"));
        Assert.Equal("-ERR DB index is out of range\r\n", Ask("SELECT 16"));
        Assert.Equal("+OK\r\n", Ask("SELECT 0"));
        Assert.Equal("-ERR DB index is out of range\r\n", Ask("COPY a b DB 16").Replace("*", "", StringComparison.Ordinal));
        Assert.Equal("+OK\r\n", Ask("SET a 1"));
        Assert.Equal("+OK\r\n", Ask("FLUSHALL"));
        Ask("KEYSPACE CREATE sessions");
        Assert.Equal("+OK\r\n", Ask("SELECT sessions"));
        Assert.Equal(":0\r\n", Ask("DBSIZE"));
        Assert.DoesNotContain("keyspace_sessions:keys=1", Ask("INFO"), StringComparison.Ordinal);
    }

    private string Ask(string line) => Encoding.Latin1.GetString(_world.Execute(line.Split(' ')));
}
