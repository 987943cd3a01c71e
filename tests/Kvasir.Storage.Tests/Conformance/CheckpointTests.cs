using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Copies of a moment, that are engines of their own.</summary>
public sealed class CheckpointTests
{
    [Theory, EveryEngine]
    public void ACheckpointHoldsItsMomentWhateverIsWrittenMeanwhile(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        world.Put("in memory", "x");
        world.Write(b => b.Put("unstable"u8, "x"u8), isStable: false);
        SortedDictionary<string, string> stable = world.All(ReadView.Stable);
        LogPosition position = new(world.Position - 1);
        string folder = world.Disk.Root + "/checkpoint";
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
        {
            world.Engine.MarkStable(new LogPosition(world.Position));
            for (int i = 0; i < 20; i++)
                world.Put(Key(i), "after");
            world.Engine.Flush();
            world.Scheduler.RunAll();
            moment.WriteTo(folder);
            world.Put("later still", "x");
        }

        Assert.Empty(world.UnderTest.Verify(world.Disk.Files, folder));
        Assert.Equal(position, world.UnderTest.Tiny.ReadFlushedPosition(world.Disk.Files, folder));
        IStorageEngine copy = world.OpenOther(folder);
        Assert.Equal(stable, All(copy));
        Assert.Equal(position, copy.FlushedPosition);

        // Flushes go on, and nothing that waited for them is missing.
        SortedDictionary<string, string> now = world.All();
        world.Flush();
        Assert.Null(world.Engine.OldestUnflushedPosition);
        world.Reopen();
        Assert.Equal(now, world.All());
        Assert.Equal("after", world.Get(Key(1)));
    }

    [Theory, EveryEngine]
    public void ACheckpointAndItsOriginGoTheirOwnWays(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> before = world.All();
        string one = world.Disk.Root + "/one", two = world.Disk.Root + "/two";
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
            moment.WriteTo(one);
        IStorageEngine copy = world.OpenOther(one);
        copy.Stage(BytesOf(b => b.DeleteRange([], [])));
        copy.Stage(BytesOf(b => b.Put("copy"u8, "x"u8)));
        copy.Publish(new LogPosition(copy.FlushedPosition.Value + 1));
        copy.MarkStable(LogPosition.Max);
        copy.Flush();
        copy.WaitForFlush();
        copy.Compact();
        world.Scheduler.RunAll();
        Assert.Equal(["copy"], All(copy).Keys);
        Assert.Equal(before, world.All());
        world.Reopen();
        Assert.Equal(before, world.All());

        world.DeleteRange("", "");
        world.Put("origin", "x");
        world.FlushAndCompact();
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
            moment.WriteTo(two);
        world.Close();
        foreach (string path in world.Disk.FilesIn(world.Folder))
            world.Disk.Files.Delete(path);
        Assert.Equal(["copy"], All(copy).Keys);
        Assert.Equal(["origin"], All(world.OpenOther(two)).Keys);
        world.Reopen();
    }

    [Theory, EveryEngine]
    public void ACheckpointOfNothingOpensEmpty(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        string folder = world.Disk.Root + "/checkpoint";
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
            moment.WriteTo(folder);
        IStorageEngine copy = world.OpenOther(folder);
        Assert.Empty(All(copy));
        Assert.Equal(LogPosition.Zero, copy.FlushedPosition);
    }

    [Theory, EveryEngine]
    public void ACheckpointThatIsOverWritesNothing(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        string folder = world.Disk.Root + "/checkpoint";
        EngineCheckpoint moment = world.Engine.BeginCheckpoint();
        moment.Dispose();
        moment.Dispose();
        Assert.Throws<ObjectDisposedException>(() => moment.WriteTo(folder));
        Assert.False(world.Disk.Files.FolderExists(folder));
        world.Put("a", "x");
        world.Flush();
        Assert.Null(world.Engine.OldestUnflushedPosition);
    }

    [Theory, EveryEngine]
    public void TwoCheckpointsAtOnceEachHoldTheirMoment(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "1");
        using EngineCheckpoint first = world.Engine.BeginCheckpoint();
        world.Put("a", "2");
        using EngineCheckpoint second = world.Engine.BeginCheckpoint();
        world.Put("a", "3");
        first.WriteTo(world.Disk.Root + "/first");
        first.Dispose();
        second.WriteTo(world.Disk.Root + "/second");
        second.Dispose();
        world.Flush();
        Assert.Equal("1"u8, EngineWorld.Get(world.OpenOther(world.Disk.Root + "/first"), "a"u8)!);
        Assert.Equal("2"u8, EngineWorld.Get(world.OpenOther(world.Disk.Root + "/second"), "a"u8)!);
        Assert.Equal("3", world.Get("a"));
    }

    [Theory, EveryEngine]
    public void ItIsToldOnceWhenTheMomentIsInFiles(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "1");
        int told = 0;
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
        {
            world.Put("a", "2");
            moment.WhenInFiles(() => told++);
            world.Scheduler.RunAll();
            Assert.Equal(1, told);
            moment.WriteTo(world.Disk.Root + "/checkpoint");
        }

        Assert.Equal("1"u8, EngineWorld.Get(world.OpenOther(world.Disk.Root + "/checkpoint"), "a"u8)!);
        world.Flush();
        using EngineCheckpoint flushed = world.Engine.BeginCheckpoint();
        flushed.WhenInFiles(() => told++);
        Assert.Equal(2, told);
    }

    [Theory, EveryEngine]
    public void AFlushThatFailsIsToldToWhoWaitsForTheMoment(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "1");
        int told = 0;
        using (EngineCheckpoint moment = world.Engine.BeginCheckpoint())
        {
            world.Disk.Files.BeforeChange = (_, _) => throw new DiskFailedException("a disk that takes nothing");
            moment.WhenInFiles(() => told++);
            world.Scheduler.RunAll();
            Assert.Equal(1, told);
            Assert.ThrowsAny<StorageException>(() => moment.WriteTo(world.Disk.Root + "/checkpoint"));
            world.Disk.Files.BeforeChange = null;
        }

        Assert.True(world.Engine.TryResume());
        world.Flush();
        Assert.Equal("1", world.Get("a"));
        Assert.Equal(1, told);
    }
}
