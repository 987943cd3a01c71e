using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
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
    public void DurabilityFollowsTheSettingAtOnce()
    {
        using CommandWorld world = new(Durability.None);
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(world.Execute("SET", "k", "1")));
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(world.Execute("CONFIG", "SET", "appendfsync", "always")));
        Assert.Equal(world.Node.Log.AppendedPosition, world.Node.Log.DurablePosition);
        SessionPeer writer = world.Connect();
        Assert.Equal("", writer.Execute("SET k 2"));
        world.Node.Log.Commit();
        world.Scheduler.RunAll();
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(writer.Receive()));
        writer.Execute("CONFIG SET appendfsync no");
        Assert.Equal("+OK\r\n", writer.Execute("SET k 3"));
        writer.Execute("CONFIG SET appendfsync everysec");
        Assert.Equal("+OK\r\n", writer.Execute("SET k 4"));
        LogPosition written = world.Node.Log.AppendedPosition;
        Assert.True(world.Node.Log.DurablePosition < written);
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
        world.Scheduler.RunAll();
        Assert.True(world.Node.Log.DurablePosition >= written);
    }

    [Fact]
    public void ADurabilityThatCannotBeWrittenDownChangesNothing()
    {
        using CommandWorld world = new(Durability.Sync);
        SessionPeer client = world.Connect();
        string clients = client.Execute("CONFIG GET maxclients");
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Write, "NODE"));
        string reply = Encoding.Latin1.GetString(client.Send("CONFIG SET maxclients 77 appendfsync everysec\r\nPING\r\n"u8));
        Assert.Matches("^-ERR CONFIG SET failed \\(possibly related to argument 'appendfsync'\\) - [^\n]*NODE[^\n]*\n[+]PONG\r\n$", reply);
        Assert.False(client.IsClosed);
        Assert.Equal("*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n", client.Execute("CONFIG GET appendfsync"));
        Assert.Equal(clients, client.Execute("CONFIG GET maxclients"));
        Assert.Equal(Durability.Sync, world.Node.Durability);
        world.Disk.Faults.Clear();
        Assert.Equal("+OK\r\n", client.Execute("CONFIG SET appendfsync everysec"));
        Assert.Equal(Durability.Interval, world.Node.Durability);
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
