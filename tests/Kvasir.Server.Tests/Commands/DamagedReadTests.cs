using System.Text;
using Kvasir.Server.Hosting;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Lsm;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Tests.Commands;

/// <summary>What a client sees of a block that does not match its checksum.</summary>
public sealed class DamagedReadTests
{
    private const string Damaged = "^-ERR /data/keyspaces/db0/.* is damaged at offset [0-9]+";

    [Fact]
    public void AReadThatMeetsDamageFailsAloneAndItsConnectionGoesOn()
    {
        using CommandWorld world = Flushed();
        RecordingLogger log = new();
        world.Server.DamageMet = new DamageNotices(log).Met;
        SessionPeer client = world.Connect();

        string replies = Encoding.Latin1.GetString(client.Send("KEYS *\r\nPING\r\n"u8));
        Assert.Matches(Damaged + "[^\n]*\n$", replies);
        Assert.False(client.IsClosed);
        Assert.True(client.Session.HasMore);
        Assert.Equal("+PONG\r\n", Encoding.Latin1.GetString(client.Send([])));

        // In the log, too, and there once.
        Assert.Matches(Damaged, client.Execute("KEYS *"));
        Assert.Matches("^Error damage was found: /data/keyspaces/db0/.* is damaged at offset [0-9]+", Assert.Single(log.Lines));

        world.Disk.Faults.Clear();
        Assert.Equal("*1\r\n$1\r\nk\r\n", client.Execute("KEYS *"));
    }

    [Fact]
    public void InfoIsAnsweredWhateverTheFilesAreLike()
    {
        using CommandWorld world = Flushed();
        SessionPeer client = world.Connect();
        Assert.Matches("# Keyspace\r\ndb0:keys=1,", Encoding.Latin1.GetString(client.Send("INFO keyspace\r\nPING\r\n"u8)));
        Assert.False(client.IsClosed);
    }

    [Fact]
    public void ADamagedReadInATransactionUndoesAllOfItAndEndsTheConnection()
    {
        using CommandWorld world = Flushed();
        SessionPeer client = world.Connect();
        client.Execute("MULTI");
        client.Execute("SET new 1");
        client.Execute("KEYS *");
        Assert.Matches(Damaged, client.Execute("EXEC"));
        Assert.True(client.IsClosed);

        world.Disk.Faults.Clear();
        Assert.Equal(":0\r\n", world.Connect().Execute("EXISTS new"));
    }

    [Fact]
    public void ADamagedReadBehindAWriteOfItsPipelineEndsTheConnectionAndTakesTheWriteBack()
    {
        using CommandWorld world = Flushed();
        SessionPeer client = world.Connect();
        string replies = Encoding.Latin1.GetString(client.Send("SET new 1\r\nKEYS *\r\nPING\r\n"u8));
        Assert.EndsWith("\r\n", replies, StringComparison.Ordinal);
        bool kept = replies.StartsWith("+OK\r\n", StringComparison.Ordinal);
        Assert.Equal(!kept, client.IsClosed);

        world.Disk.Faults.Clear();
        Assert.Equal(kept ? ":1\r\n" : ":0\r\n", world.Connect().Execute("EXISTS new"));
    }

    private sealed class RecordingLogger : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel} {formatter(state, exception)}");
    }

    private static CommandWorld Flushed()
    {
        var world = new CommandWorld(engine: new LsmEngineFactory());
        world.Execute("SET", "k", "v");
        world.Node.Log.Commit();
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
        world.Disk.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read, "/db0/"));
        return world;
    }
}
