using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Server.Commands;
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

    /// <param name="durability">With none, replies leave at once, so that scenarios need not run the journal.</param>
    /// <param name="engine">Instead of model engines.</param>
    /// <param name="others">Engines that keyspaces may choose beside it.</param>
    public CommandWorld(Durability durability = Durability.None, IEngineFactory? engine = null, IReadOnlyList<IEngineFactory>? others = null)
    {
        engine ??= new ModelEngineFactory();
        var random = new SeededRandom(1);
        Scheduler = new SimulatedScheduler(random, new SimulatedClock(DateTimeOffset.UtcNow));
        Disk = new SimulatedFileSystem(random.Fork());
        Node = KvasirNode.Open(
            new NodeOptions { Folder = "/data", Engine = engine.Name, Durability = durability, MemoryBytes = MemoryBudget.MinimumBytes },
            new NodeEnvironment(Disk, Scheduler, [engine, .. others ?? []], Seed: 1));
        Server = new ServerState(Node, Scheduler.Time, AllCommands.List);
        _peer = Connect();
    }

    public SimulatedScheduler Scheduler { get; }

    public SimulatedFileSystem Disk { get; }

    public KvasirNode Node { get; }

    public void Advance(TimeSpan time) => Scheduler.Clock.Advance(time);

    public byte[] Execute(params string[] arguments) => Execute([.. arguments.Select(Encoding.Latin1.GetBytes)]);

    public byte[] Execute(byte[][] arguments) => _peer.Execute(arguments);

    public ServerState Server { get; }

    public SessionPeer Connect() => new(Server);

    public void Dispose() => Node.Dispose();
}
