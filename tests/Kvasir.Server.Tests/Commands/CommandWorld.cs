using System.Globalization;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Tests.Commands;

/// <summary>A node over model engines and the command table, without sockets: command lines in, reply bytes out.</summary>
internal sealed class CommandWorld : IDisposable
{
    private readonly SessionPeer _peer;

    public CommandWorld()
    {
        var random = new SeededRandom(1);
        Scheduler = new SimulatedScheduler(random, new SimulatedClock(DateTimeOffset.UtcNow));
        var environment = new EngineEnvironment(
            new SimulatedFileSystem(random.Fork()), Scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        Node = new KvasirNode(new MemoryLog(), Enumerable.Range(0, 16).Select(i => new Replica(
            (uint)i,
            new KeyspaceOptions { Name = "db" + i.ToString(CultureInfo.InvariantCulture) },
            ModelEngine.Open("db" + i.ToString(CultureInfo.InvariantCulture), environment))));
        Server = new ServerState(Node, Scheduler.Time);
        _peer = Connect();
    }

    public SimulatedScheduler Scheduler { get; }

    public KvasirNode Node { get; }

    public void Advance(TimeSpan time) => Scheduler.Clock.Advance(time);

    public byte[] Execute(params string[] arguments) => Execute([.. arguments.Select(Encoding.Latin1.GetBytes)]);

    public byte[] Execute(byte[][] arguments) => _peer.Execute(arguments);

    public ServerState Server { get; }

    public SessionPeer Connect() => new(Server);

    public void Dispose() => Node.Dispose();

    /// <summary>A log that is durable at once and keeps nothing.</summary>
    private sealed class MemoryLog : IReplicaLog
    {
        public WriteRefusal? Refusal => null;

        public LogPosition AppendedPosition { get; private set; }

        public LogPosition DurablePosition => AppendedPosition;

        public long RetainedBytes => 0;

        public LogPosition Append(ReadOnlySpan<byte> payload)
        {
            AppendedPosition = new LogPosition(AppendedPosition.Value + (ulong)payload.Length);
            return AppendedPosition;
        }
    }
}
