using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>Files of every format version are read for ever.</summary>
public sealed class SampleFolderTests
{
    /// <summary>Of the first, records lie in the order in which they were written; of the second, by token.</summary>
    [Theory]
    [InlineData("hashlog-v1")]
    [InlineData("hashlog-v1-by-token")]
    public void AFolderOfVersionOneIsRead(string sample)
    {
        using var world = new LogWorld();
        world.Engine.Dispose();
        world.Disk = new SimulatedFileSystem(new SeededRandom(9));
        world.Disk.CreateFolder(world.Folder);
        foreach (string path in Directory.GetFiles(Path.Join(Root(), "tests", "Kvasir.Storage.Tests", "Samples", sample)))
            world.Disk.WriteAll(world.Folder + "/" + Path.GetFileName(path), File.ReadAllBytes(path));
        world.Reopen();
        Assert.Empty(LogVerifier.Verify(world.Disk, world.Folder));
        Assert.Equal(new LogPosition(6), world.Engine.FlushedPosition);
        Assert.Equal(["apple", "banana"], world.All().Keys);
        Assert.Equal("red", world.Get("apple"));
        Assert.Equal(4_000_000_000_000, world.Engine.Get("banana"u8, ReadView.Published, null).ExpiresAtMs);
        Assert.Null(world.Get("cherry"));
        Assert.Null(world.Get("date"));
        string[] kinds = [.. LogInspector.Inspect(world.Disk, world.Folder + "/HASHLOG").Select(p => p.Kind)];
        Assert.Equal(["header", "segment", "segment", "range deletion"], kinds);
    }

    /// <summary>How the sample was made.</summary>
    internal static void Make(LogWorld world)
    {
        world.Put("apple", "green");
        world.Put("cherry", "black");
        world.Put("date", "brown");
        world.Flush();
        world.Put("banana", "yellow", 4_000_000_000_000);
        world.Write(b =>
        {
            b.Put("apple"u8, "red"u8);
            b.Delete("cherry"u8);
        });
        world.Write(b => b.DeleteRange("d"u8, "e"u8));
        world.Flush();
    }

    [Fact]
    public void WhatIsWrittenTodayIsOfVersionOne()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { GarbageRatio = 1 });
        Make(world);
        foreach (string path in world.Disk.Paths)
        {
            byte[] sample = File.ReadAllBytes(Path.Join(Root(), "tests", "Kvasir.Storage.Tests", "Samples", "hashlog-v1-by-token", Path.GetFileName(path)));
            Assert.Equal(sample, world.Disk.ReadAll(path));
        }
    }

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Join(folder, "Kvasir.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("not inside the repository");
    }
}
