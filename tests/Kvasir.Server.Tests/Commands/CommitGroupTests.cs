using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Hosting;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Lsm;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvasir.Server.Tests.Commands;

/// <summary>Commands that a client sent together share a log record where they can, and succeed or fail with it.</summary>
public sealed class CommitGroupTests
{
    [Theory]
    [InlineData("SET a 1|INCR a|GET a|APPEND a x|SETBIT b 1 1", 1, "+OK\r\n|:2\r\n|$1\r\n2\r\n|:2\r\n|:0\r\n")]
    [InlineData("SET a 1|DEL a|SET a 2|GET a", 3, "+OK\r\n|:1\r\n|+OK\r\n|$1\r\n2\r\n")]
    [InlineData("SET a 1|SELECT 3|SET a 2|GET a", 2, "+OK\r\n|+OK\r\n|+OK\r\n|$1\r\n2\r\n")]
    [InlineData("SET a 1|MULTI|SET a 2|INCR a|EXEC|INCR a", 3, "+OK\r\n|+OK\r\n|+QUEUED\r\n|+QUEUED\r\n|*2\r\n+OK\r\n:3\r\n|:4\r\n")]
    [InlineData("GET a|SET a 1|INCR a|NOSUCH|INCR a", 1, "$-1\r\n|+OK\r\n|:2\r\n|-ERR unknown command 'NOSUCH', with args beginning with: \r\n|:3\r\n")]
    public void PipelineWaitsForItsRecords(string lines, int records, string replies)
    {
        using CommandWorld world = new(Durability.Sync);
        SessionPeer peer = world.Connect();
        long before = world.Node.Log.Statistics.Records;
        string early = Send(peer, lines.Split('|'));
        // Only what stands before the first write may leave at once.
        Assert.Equal(lines.StartsWith("GET", StringComparison.Ordinal) ? "$-1\r\n" : "", early);
        Assert.Equal(records, world.Node.Log.Statistics.Records - before);
        world.Node.Log.Commit();
        world.Scheduler.RunAll();
        Assert.Equal(replies.Replace("|", "", StringComparison.Ordinal), early + Encoding.Latin1.GetString(peer.Receive()));
    }

    [Fact]
    public void LargePipelineBecomesSeveralRecords()
    {
        using CommandWorld world = new();
        SessionPeer peer = world.Connect();
        long before = world.Node.Log.Statistics.Records;
        string[] lines = [.. Enumerable.Range(0, 300).Select(i => $"SET key:{i} {new string('v', 1000)}")];
        Assert.Equal(string.Concat(Enumerable.Repeat("+OK\r\n", 300)), Send(peer, lines));
        Assert.InRange(world.Node.Log.Statistics.Records - before, 5, 20);
        Assert.Equal("$1000\r\n", peer.Execute("GET key:299")[..7]);
    }

    [Fact]
    public void EveryReplyOfALostRecordIsAnError()
    {
        using CommandWorld world = new(Durability.Sync);
        world.Node.SetLogListener(new LogWatcher(world.Server, () => { }, NullLogger.Instance));
        SessionPeer peer = world.Connect();
        Assert.Equal("$-1\r\n", Send(peer, "GET a", "SET a 1", "GET a", "INCR a"));
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync));
        world.Node.Log.Commit();
        world.Scheduler.RunAll();
        string[] replies = Encoding.Latin1.GetString(peer.Receive()).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, replies.Length);
        Assert.All(replies, reply => Assert.StartsWith("-", reply, StringComparison.Ordinal));
        Assert.Equal("$-1\r\n", peer.Execute("GET a"));
    }

    [Fact]
    public void ReadThatFailsTakesBackItsGroupAndItsReplies()
    {
        using CommandWorld world = new(Durability.None, new LsmEngineFactory());
        SessionPeer peer = world.Connect();
        // Too large for the cache of rows, so that it is read from its table.
        Assert.Equal("+OK\r\n", peer.Execute("SET large " + new string('v', 20_000)));
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Read));
        string replies = Send(peer, "PING", "SET a 1", "GET large", "SET b 2");
        Assert.StartsWith("+PONG\r\n-IOERR ", replies, StringComparison.Ordinal);
        Assert.Equal(2, replies.Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.True(peer.IsClosed);
        world.Disk.Faults.Clear();
        Assert.Equal("*3\r\n$-1\r\n$-1\r\n$-1\r\n", world.Connect().Execute("MGET a b c"));
    }

    private static string Send(SessionPeer peer, params string[] lines) =>
        Encoding.Latin1.GetString(peer.Send(Encoding.Latin1.GetBytes(string.Concat(lines.Select(line => line + "\r\n")))));
}
