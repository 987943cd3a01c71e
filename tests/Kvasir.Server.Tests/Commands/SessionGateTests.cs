using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Hosting;
using Kvasir.Simulation.Disks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvasir.Server.Tests.Commands;

/// <summary>No reply leaves before what it tells of is durable.</summary>
public sealed class SessionGateTests
{
    [Theory]
    [InlineData("SET k 2", "+OK\r\n")]
    [InlineData("GET k", "$1\r\n1\r\n")]
    [InlineData("DBSIZE", ":1\r\n")]
    public void ReplyWaitsForTheSyncOfWhatItTells(string command, string reply)
    {
        using CommandWorld world = new(Durability.Sync);
        SessionPeer writer = world.Connect(), other = world.Connect();
        Assert.Equal("", writer.Execute("SET k 1"));
        Assert.Equal("", other.Execute(command));

        // What nobody wrote yet does not wait; what was sent after a reply that waits does.
        Assert.Equal("", other.Execute("PING"));
        Assert.Equal("+PONG\r\n", world.Connect().Execute("PING"));

        world.Node.Log.Commit();
        world.Scheduler.RunAll();
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(writer.Receive()));
        Assert.Equal(reply + "+PONG\r\n", Encoding.Latin1.GetString(other.Receive()));
    }

    [Fact]
    public void ReplyWhoseWriteWasLostIsAnErrorAndReadsGoOn()
    {
        using CommandWorld world = new(Durability.Sync);
        world.Node.SetLogListener(new LogWatcher(world.Server, () => { }, NullLogger.Instance));
        SessionPeer peer = world.Connect();
        Assert.Equal("", peer.Execute("SET k 1"));
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync));
        world.Node.Log.Commit();
        world.Scheduler.RunAll();
        Assert.StartsWith("-", Encoding.Latin1.GetString(peer.Receive()), StringComparison.Ordinal);
        Assert.Equal("$-1\r\n", peer.Execute("GET k"));
        Assert.StartsWith("-IOERR", peer.Execute("SET k 2"), StringComparison.Ordinal);
    }
}
