using System.Text;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>What a start had by then, it gives back where the disk refuses it: the journal, the engines and the folder.</summary>
public sealed class NodeOpeningTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AStartThatTheDiskRefusesAnywhereLeavesNoFileOpen(bool isNew)
    {
        int refused = 0;
        bool isRefused = true;
        for (int passed = 0; isRefused; passed++)
        {
            SimulatedFileSystem disk = new(new SeededRandom(1));
            SimulatedScheduler scheduler = new(new SeededRandom(2));
            if (!isNew)
            {
                using KvasirNode first = Open(disk, scheduler);
                first.Mailbox.Post(new ActionItem(execution =>
                {
                    execution.Put(first.Database(0), "key"u8, [], "value"u8, 0);
                    execution.Commit();
                    execution.TakeGate();
                }));
            }

            long before = disk.OperationCount;
            disk.Faults.Add(new FaultRule(DiskFault.Failed) { Skip = passed, Times = 1 });
            try
            {
                using KvasirNode node = Open(disk, scheduler);
                isRefused = disk.OperationCount - before > passed;
                disk.Faults.Clear();
            }
            catch (StorageException) when (disk.OperationCount - before > passed)
            {
                refused++;
            }

            disk.Faults.Clear();
            scheduler.RunAll();
            Assert.True(disk.OpenFiles == 0, $"{disk.OpenFiles} files are open after operation {passed} was refused");

            // It holds no lock, and nothing is lost.
            using (KvasirNode again = Open(disk, scheduler))
            {
                BytesBuffer value = new();
                Assert.Equal(!isNew, again.Database(0).Engine.Get("key"u8, ReadView.Published, value).Found);
                Assert.Equal(isNew ? "" : "value", Encoding.UTF8.GetString(value.WrittenSpan));
            }

            scheduler.RunAll();
            Assert.Equal(0, disk.OpenFiles);
        }

        Assert.True(refused > 20, $"{refused} were refused");
    }

    private static KvasirNode Open(SimulatedFileSystem disk, SimulatedScheduler scheduler) => KvasirNode.Open(
        new NodeOptions { Folder = "/data", DatabaseCount = 1, Engine = "log", MemoryBytes = MemoryBudget.MinimumBytes },
        new NodeEnvironment(disk, scheduler, [new HashLogEngineFactory()], Seed: 5));
}
