using System.Globalization;
using System.Text;
using Kvasir.Storage.BTree;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Commands;

/// <summary>KEYSPACE CONVERT, and what clients that are in the middle of something see of it.</summary>
public sealed class ConversionCommandTests : IDisposable
{
    private readonly CommandWorld _world = new(
        engine: new LsmEngineFactory(), others: [new HashLogEngineFactory(), new BTreeEngineFactory()]);

    public void Dispose() => _world.Dispose();

    [Fact]
    public void ItIsBegunWatchedAndDone()
    {
        _world.Execute("SELECT", "1");
        _world.Execute("SET", "a", "1");
        Assert.Equal("$-1\r\n", Execute("KEYSPACE", "CONVERT", "db1", "STATUS"));
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "convert", "db1", "ENGINE", "log"));
        string status = Execute("KEYSPACE", "CONVERT", "db1", "STATUS");
        Assert.Contains("keyspace\r\n$3\r\ndb1\r\n$4\r\nfrom\r\n$3\r\nlsm\r\n$2\r\nto\r\n$3\r\nlog\r\n$5\r\nstate\r\n", status, StringComparison.Ordinal);
        status = Finish("db1");
        Assert.Contains("\r\ndone\r\n$4\r\nrows\r\n:1\r\n", status, StringComparison.Ordinal);
        Assert.Contains(" of 1 rows\r\n", status, StringComparison.Ordinal);
        Assert.Equal("$1\r\n1\r\n", Execute("GET", "a"));
        Assert.Equal(":1\r\n", Execute("DBSIZE"));
        string told = Execute("INFO", "stats");
        Assert.Contains("kvasir_conversions:0\r\nkvasir_conversion_rows_copied:1\r\nkvasir_conversion_bytes_copied:", told, StringComparison.Ordinal);
        Assert.DoesNotContain("kvasir_conversion_seconds:0.000000", told, StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", "db1", "engine", "lsm"));
        Assert.Contains("kvasir_conversions:1\r\n", Execute("INFO", "stats"), StringComparison.Ordinal);
    }

    [Fact]
    public void WhatMakesNoSenseIsAnError()
    {
        Assert.StartsWith("-ERR KEYSPACE CONVERT name engine NAME", Execute("KEYSPACE", "CONVERT", "db0", "log"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR KEYSPACE CONVERT name engine NAME", Execute("KEYSPACE", "CONVERT", "db0", "engine", "log", "now"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no such keyspace", Execute("KEYSPACE", "CONVERT", "db99", "engine", "log"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no such keyspace", Execute("KEYSPACE", "CONVERT", "system", "engine", "log"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no engine 'rocks'", Execute("KEYSPACE", "CONVERT", "db0", "engine", "rocks"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR keyspace db0 has the engine lsm", Execute("KEYSPACE", "CONVERT", "db0", "engine", "lsm"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR there is no such keyspace", Execute("KEYSPACE", "CONVERT", "db99", "STATUS"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR no conversion of that keyspace", Execute("KEYSPACE", "CONVERT", "db0", "ABORT"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR wrong number of arguments", Execute("KEYSPACE", "CONVERT", "db0"), StringComparison.Ordinal);
    }

    [Fact]
    public void ItIsAborted()
    {
        _world.Execute("SET", "a", "1");
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", "db0", "engine", "log"));
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", "db0", "ABORT"));
        Assert.Contains("\r\naborted\r\n", Finish("db0"), StringComparison.Ordinal);
        Assert.Equal("$1\r\n1\r\n", Execute("GET", "a"));
    }

    [Fact]
    public void AnotherBeginsAsSoonAsTheStatusIsFinalAndNotBefore()
    {
        _world.Execute("SET", "a", "1");
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", "db0", "engine", "log"));
        Assert.Equal("-ERR keyspace db0 is being converted; one at a time\r\n", Execute("KEYSPACE", "CONVERT", "db1", "engine", "log"));
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", "db0", "ABORT"));
        for (int i = 0; i < 2000; i++)
        {
            string status = Execute("KEYSPACE", "CONVERT", "db0", "STATUS");
            string begun = Execute("KEYSPACE", "CONVERT", "db1", "engine", "log");
            if (begun == "+OK\r\n")
            {
                Assert.Contains("\r\naborted\r\n", status, StringComparison.Ordinal);
                return;
            }

            Assert.DoesNotContain("aborted", status, StringComparison.Ordinal);
            Assert.Contains(status.Contains("withdrawing", StringComparison.Ordinal) ? "is being taken back" : "is being converted", begun, StringComparison.Ordinal);
            if (!_world.Scheduler.RunOne())
                _world.Advance(TimeSpan.FromMilliseconds(10));
        }

        Assert.Fail("it never came to its end");
    }

    /// <summary>The engines' orders differ: a walk that began in one begins again in the other.</summary>
    [Theory]
    [InlineData("lsm", "log")]
    [InlineData("lsm", "btree")]
    [InlineData("log", "lsm")]
    public void AWalkThatIsUnderWayMissesNoKey(string from, string to)
    {
        for (int i = 0; i < 500; i++)
            _world.Execute("SET", "k" + i.ToString(CultureInfo.InvariantCulture), "v");
        if (from != "lsm")
            Convert("db0", from);
        HashSet<string> seen = [];
        string cursor = "0";
        int calls = 0;
        do
        {
            string[] reply = Execute("SCAN", cursor, "COUNT", "20").Split("\r\n");
            cursor = reply[2];
            seen.UnionWith(reply.Where(static l => l.StartsWith('k')));
            if (++calls == 5)
                Convert("db0", to);
        }
        while (cursor is not "0");
        Assert.Equal(500, seen.Count);
        Assert.Equal(to == "btree" ? 25 : 30, calls);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatExpiresIsDeletedInTheOrderOfTheNewEngine(bool meanwhile)
    {
        for (int i = 0; i < 5000; i++)
            _world.Execute("SET", "k" + i.ToString(CultureInfo.InvariantCulture), "v", "PX", "600000");
        if (!meanwhile)
            Convert("db0", "log");
        _world.Advance(TimeSpan.FromMinutes(11));

        // A sweep has begun, and is not at its end.
        int converted = 0;
        if (meanwhile)
        {
            _world.Node.Mailbox.Post(new OneSlice(_world.Server.Expiry));
            converted = (int)_world.Server.Statistics.ExpiredKeys;
            Assert.InRange(converted, 1, 4999);
            Convert("db0", "log");
        }

        _world.Server.Expiry.Post();
        Assert.Equal(5000, _world.Server.Statistics.ExpiredKeys);
        Assert.Equal(":0\r\n", Execute("DBSIZE"));
    }

    private string Execute(params string[] words) => Encoding.Latin1.GetString(_world.Execute(words));

    private void Convert(string keyspace, string engine)
    {
        Assert.Equal("+OK\r\n", Execute("KEYSPACE", "CONVERT", keyspace, "engine", engine));
        Assert.Contains("\r\ndone\r\n", Finish(keyspace), StringComparison.Ordinal);
    }

    private string Finish(string keyspace)
    {
        for (int i = 0; i < 2000; i++)
        {
            string status = Execute("KEYSPACE", "CONVERT", keyspace, "STATUS");
            if (status.Contains("\r\ndone\r\n", StringComparison.Ordinal) || status.Contains("\r\naborted\r\n", StringComparison.Ordinal)
                || status.Contains("\r\nfailed\r\n", StringComparison.Ordinal))
                return status;
            if (!_world.Scheduler.RunOne())
                _world.Advance(TimeSpan.FromMilliseconds(10));
        }

        throw new TimeoutException("the conversion does not end");
    }

    private sealed class OneSlice(Kvasir.Cluster.Expiry.ExpirySweep sweep) : Kvasir.Cluster.Replicas.IMailboxItem
    {
        public void Run(Kvasir.Cluster.Replicas.Execution execution) => sweep.Run(execution);
    }
}
