using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class NodeUpkeepTests
{
    [Fact]
    public void JournalKeepsWhatIsWrittenWhileTheEnginesAreAskedWhatTheyNeed()
    {
        NodeOptions options = new()
        {
            Folder = "/data",
            Engine = "model",
            DatabaseCount = 1,
            MemoryBytes = MemoryBudget.MinimumBytes,
            Journal = new JournalOptions { FirstSegmentBytes = 16 << 10, SegmentBytes = 16 << 10, SpareSegmentsMax = 0 },
        };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        HookedEngineFactory engines = new(new ModelEngineFactory());
        KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [engines], Seed: 5));

        // Several segments become durable just after the engines said that they have nothing in memory only.
        const int writes = 20;
        engines.AfterOldestUnflushed = () => engines.AfterOldestUnflushed = () =>
        {
            for (int i = 0; i < writes; i++)
            {
                byte[] key = [(byte)i];
                node.Mailbox.Post(new ActionItem(e =>
                {
                    e.Put(node.Database(0), key, [], new byte[4000], 0);
                    e.Commit();
                }));
                node.Log.CommitInline();
            }
        };
        scheduler.Clock.Advance(TimeSpan.FromSeconds(1));
        scheduler.RunAll();
        Assert.Null(engines.AfterOldestUnflushed);

        disk = disk.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        using KvasirNode restarted = KvasirNode.Open(
            options, new NodeEnvironment(disk, new SimulatedScheduler(new SeededRandom(4)), [new ModelEngineFactory()], Seed: 6));
        for (int i = 0; i < writes; i++)
            Assert.True(restarted.Database(0).Engine.Get([(byte)i], ReadView.Published, value: null).Found, $"write {i} of {writes} was durable and is lost");
    }
}
