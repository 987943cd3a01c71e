using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>
/// One bit of one byte at a time, of every byte of every file: the start must refuse, or a read must, with the file's name, or all that
/// is read must be right. What is refused, the verifier finds.
/// </summary>
public sealed class DamageTests
{
    // Copies of real files take long.
    private const int RealStride = 151;

    [Theory, EveryEngine]
    public void ABitThatFlipsInAnyByteIsNeverServed(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> content = world.All();
        world.Close();
        Assert.Empty(world.UnderTest.Verify(world.Disk.Files, world.Folder));
        int flips = 0, refused = 0;
        foreach (string path in world.Disk.FilesIn(world.Folder).Where(static p => !TestDisk.IsLock(p)))
        {
            byte[] bytes = world.Disk.ReadAll(path);
            int stride = disk == DiskKind.Real && ConformanceTable.Scale == 1 ? RealStride : 1;
            for (int offset = flips % stride; offset < bytes.Length; offset += stride)
            {
                flips++;
                refused += Flip(world, path, offset, content) ? 1 : 0;
            }
        }

        ConformanceTable.AddDamage(engine, ConformanceTable.BelowALog, disk, flips);
        Assert.True(refused > flips / 20, $"{refused} of {flips} were refused");
        world.Reopen();
        Assert.Equal(content, world.All());
    }

    private static bool Flip(EngineWorld world, string path, int offset, SortedDictionary<string, string> content)
    {
        using TestDisk damaged = world.Disk.Simulated is { } simulated ? new TestDisk(simulated.Clone()) : world.Disk.Copy();
        string file = damaged.Root + path[world.Disk.Root.Length..], folder = damaged.Root + "/engine";
        damaged.FlipBit(file, offset, offset % 8);
        bool isFound = world.UnderTest.Verify(damaged.Files, folder).Count != 0;
        var scheduler = new SimulatedScheduler(new SeededRandom(1));
        try
        {
            using (IStorageEngine engine = world.UnderTest.Tiny.Open(
                folder, new EngineEnvironment(damaged.Files, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes))))
                Assert.True(content.SequenceEqual(All(engine)), $"{path}: bit {offset % 8} of byte {offset} is served");
            scheduler.RunAll();
            return false;
        }
        catch (StorageException refusal)
        {
            Assert.Contains(file, refusal.Message, StringComparison.Ordinal);
            Assert.True(isFound, $"{path}: byte {offset} is refused ({refusal.Message}), and the verifier finds nothing");
            Assert.False(world.UnderTest.CanBeMadeAnew(path), refusal.Message);
            return true;
        }
    }
}
