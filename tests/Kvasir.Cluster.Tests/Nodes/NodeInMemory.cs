using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A node on a simulated disk, with model engines, and verbs for tests.</summary>
internal sealed class NodeInMemory : IDisposable
{
    private readonly IReadOnlyList<IEngineFactory> _engines;

    public NodeInMemory(Durability durability = Durability.Sync, int databases = 4, IReadOnlyList<IEngineFactory>? engines = null)
    {
        _engines = engines ?? [new ModelEngineFactory()];
        Options = new NodeOptions { Folder = "/data", Engine = engines is null ? "model" : null, DatabaseCount = databases, Durability = durability, MemoryBytes = MemoryBudget.MinimumBytes };
        Disk = new SimulatedFileSystem(new SeededRandom(1));
        Scheduler = new SimulatedScheduler(new SeededRandom(2));
        Node = Open(Disk);
    }

    public NodeOptions Options { get; set; }

    public SimulatedFileSystem Disk { get; set; }

    public SimulatedScheduler Scheduler { get; private set; }

    public KvasirNode Node { get; private set; }

    public LogPosition Do(Action<Execution> action)
    {
        LogPosition gate = LogPosition.Zero;
        Node.Mailbox.Post(new ActionItem(execution =>
        {
            action(execution);
            execution.Commit();
            gate = execution.TakeGate().Position;
        }));
        return gate;
    }

    public LogPosition Put(int database, string key, string value) =>
        Do(e => e.Put(Node.Database(database), Encoding.UTF8.GetBytes(key), [], Encoding.UTF8.GetBytes(value), 0));

    public string? Get(int database, string key)
    {
        string? result = null;
        Do(e =>
        {
            BytesBuffer value = new();
            if (e.Get(Node.Database(database), Encoding.UTF8.GetBytes(key), value).Found)
                result = Encoding.UTF8.GetString(value.WrittenSpan);
        });
        return result;
    }

    /// <summary>Commits, and runs background work until nothing is left.</summary>
    public void Settle()
    {
        Node.Log.Commit();
        Scheduler.RunAll();
    }

    /// <summary>So long without a write that the journal lets go of all that it can.</summary>
    public void Idle()
    {
        for (int i = 0; i < 100; i++)
        {
            Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            Scheduler.RunAll();
        }
    }

    /// <summary>What lies below a folder, by path: to be put back later as an older copy.</summary>
    public SortedDictionary<string, byte[]> CopyOf(string folder) => new(
        Disk.Paths.Where(path => path.StartsWith(folder, StringComparison.Ordinal)).ToDictionary(path => path, Disk.ReadAll), StringComparer.Ordinal);

    /// <summary>Nothing but the copy lies below the folder from now on.</summary>
    public void Replace(string folder, SortedDictionary<string, byte[]> copy)
    {
        foreach (string path in CopyOf(folder).Keys)
            Disk.Delete(path);
        foreach ((string path, byte[] content) in copy)
            Disk.WriteAll(path, content);
    }

    public void Restart()
    {
        Node.Dispose();
        Scheduler.RunAll();
        Node = Open(Disk);
    }

    public void Crash(CrashKind kind)
    {
        Disk = Disk.AfterCrash(new SeededRandom(3), kind);
        Scheduler = new SimulatedScheduler(new SeededRandom(4));
        Node = Open(Disk);
    }

    public void Dispose() => Node.Dispose();

    private KvasirNode Open(SimulatedFileSystem disk) =>
        KvasirNode.Open(Options, new NodeEnvironment(disk, Scheduler, _engines, Seed: 5));
}

internal sealed class ActionItem(Action<Execution> action) : IMailboxItem
{
    public void Run(Execution execution) => action(execution);
}
