using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>A bit that flips anywhere is refused, or nothing depends on it; what is refused, verify names.</summary>
public sealed class DamagedFileTests
{
    [Theory]
    [InlineData("HASHLOG")]
    [InlineData(".hint")]
    [InlineData(".log")]
    public void EveryByteIsSafe(string suffix)
    {
        using var world = new LogWorld();
        world.FillMixed();
        SortedDictionary<string, string> expected = world.All();
        world.Engine.Dispose();
        SimulatedFileSystem whole = world.Disk;
        Assert.Empty(LogVerifier.Verify(whole, world.Folder));
        int refused = 0, files = 0;
        foreach (string path in whole.Paths.Where(p => p.EndsWith(suffix, StringComparison.Ordinal)).Take(2))
        {
            files++;
            for (long offset = 0; offset < whole.FileLength(path); offset++)
            {
                world.Disk = whole.Clone();
                world.Disk.FlipBit(path, offset, (int)(offset % 8));
                IReadOnlyList<DamageFinding> findings = LogVerifier.Verify(world.Disk, world.Folder);
                try
                {
                    world.Reopen();
                    Assert.Equal(expected, world.All());
                }
                catch (StorageException e)
                {
                    refused++;
                    Assert.NotEmpty(findings);
                    Assert.NotEqual(".hint", suffix);
                    Assert.Contains(path, e.Message, StringComparison.Ordinal);
                }
            }
        }

        Assert.True(files > 0);
        Assert.True(suffix == ".hint" || refused > 100);
        world.Disk = whole.Clone();
        world.Reopen();
    }

    [Fact]
    public void AMissingHintFileIsMadeAnew()
    {
        using var world = new LogWorld();
        world.FillMixed();
        SortedDictionary<string, string> expected = world.All();
        world.Engine.Dispose();
        string[] hints = [.. world.Disk.Paths.Where(p => p.EndsWith(".hint", StringComparison.Ordinal))];
        var content = hints.ToDictionary(h => h, world.Disk.ReadAll);
        foreach (string hint in hints)
            world.Disk.Delete(hint);
        world.Reopen();
        Assert.Equal(expected, world.All());
        Assert.All(hints, h => Assert.Equal(content[h], world.Disk.ReadAll(h)));
    }

    [Fact]
    public void AMissingSegmentOrManifestStopsTheStart()
    {
        using var world = new LogWorld();
        world.FillMixed();
        world.Engine.Dispose();
        SimulatedFileSystem whole = world.Disk;
        foreach (string path in whole.Paths.Where(p => !p.EndsWith(".hint", StringComparison.Ordinal)))
        {
            world.Disk = whole.Clone();
            world.Disk.Delete(path);
            Assert.NotEmpty(LogVerifier.Verify(world.Disk, world.Folder));
            var refusal = Assert.Throws<FileMissingException>(world.Reopen);
            Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
        }

        world.Disk = whole.Clone();
        world.Reopen();
    }
}
