using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A tree keeps the state before its last one: a start whose disk misreads the last must not go on from there.</summary>
public sealed class MisreadStartTests
{
    private static readonly BTreeEngineFactory s_engine = new(new BufferOptions(), new BTreeOptions { PageBytes = 4096, UseMap = false });

    [Fact]
    public void AMisreadNeverLeadsBackToAnOlderState()
    {
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        SimulatedFileSystem disk = new(new SeededRandom(1));
        KvasirNode running = Open(disk, scheduler);
        for (byte i = 0; i < 4; i++)
        {
            byte[] key = [i];
            running.Mailbox.Post(new ActionItem(execution =>
            {
                execution.Put(running.Database(0), key, [], new byte[40_000], 0);
                execution.Commit();
                execution.TakeGate();
            }));
            running.Log.Commit();
            scheduler.RunAll();
            running.Database(0).Engine.Flush();

            // So long that the journal lets go of all of it.
            for (int j = 0; j < 100; j++)
            {
                scheduler.RunAll();
                scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            }
        }

        // A stop would write both states of the tree alike.
        disk = disk.AfterCrash(new SeededRandom(3), CrashKind.ProcessKill);
        scheduler = new SimulatedScheduler(new SeededRandom(4));
        int refused = 0;
        for (int skip = 0; skip < 60; skip++)
        {
            SimulatedFileSystem copy = disk.Clone();
            copy.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read, "/keyspaces/db0/") { Skip = skip, Times = 1 });
            try
            {
                using KvasirNode node = Open(copy, scheduler);
                for (byte i = 0; i < 4; i++)
                    Assert.True(node.Database(0).Engine.Get([i], ReadView.Published, value: null).Found, $"key {i} is gone when read {skip} is misread");
            }
            catch (StorageException)
            {
                refused++;
            }

            scheduler.RunAll();
        }

        Assert.InRange(refused, 1, 59);
    }

    private static KvasirNode Open(SimulatedFileSystem disk, SimulatedScheduler scheduler) => KvasirNode.Open(
        new NodeOptions
        {
            Folder = "/data",
            DatabaseCount = 1,
            Engine = "btree",
            MemoryBytes = MemoryBudget.MinimumBytes,
            Journal = new JournalOptions { SegmentBytes = 64 << 10, FirstSegmentBytes = 16 << 10 },
        },
        new NodeEnvironment(disk, scheduler, [s_engine], Seed: 5));
}
