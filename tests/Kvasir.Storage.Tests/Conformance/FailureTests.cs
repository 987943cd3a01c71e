using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Disks that are full or fail: it is told, reads go on, nothing is lost, and it resumes.</summary>
public sealed class FailureTests
{
    [Theory, EveryEngine]
    public void AFlushThatFailsIsToldAndResumedWhenTheDiskIsWell(string engine, DiskKind disk)
    {
        foreach (bool isFull in new[] { true, false })
        {
            using var world = new EngineWorld(engine, disk);
            world.FillMixed();
            world.Put("k", "v");
            SortedDictionary<string, string> content = world.All();
            LogPosition flushed = world.Engine.FlushedPosition;
            world.Disk.Files.BeforeChange = (kind, path) => Fail(isFull, kind, path);
            world.Engine.Flush();
            var stopped = Assert.Throws<WritesStoppedException>(world.Engine.WaitForFlush);
            Assert.True(stopped.InnerException is DiskFullException == isFull, stopped.ToString());
            Assert.NotNull(world.Engine.BackgroundFailure);
            Assert.Equal(content, world.All());
            Assert.Equal(flushed, world.Engine.FlushedPosition);
            Assert.False(world.Engine.TryResume());

            // In memory there is room for more.
            world.Put("k2", "v");
            content = world.All();
            world.Engine.RequestResume();
            world.Scheduler.RunAll();
            Assert.NotNull(world.Engine.BackgroundFailure);
            world.Disk.Files.BeforeChange = null;
            Assert.True(world.Engine.TryResume());
            Assert.Null(world.Engine.BackgroundFailure);
            world.Flush();
            Assert.Equal(new LogPosition(world.Position), world.Engine.FlushedPosition);
            Assert.Equal(content, world.All());
            world.Reopen();
            Assert.Equal(content, world.All());
            world.Close();
            Assert.Empty(world.UnderTest.Verify(world.Disk.Files, world.Folder));
        }
    }

    [Theory, EveryEngine]
    public void AskedToGoOnItTriesInTheBackground(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("k", "v");
        world.Disk.Files.BeforeChange = (kind, path) => Fail(isFull: true, kind, path);
        world.Engine.Flush();
        world.Scheduler.RunAll();
        Assert.NotNull(world.Engine.BackgroundFailure);
        world.Disk.Files.BeforeChange = null;
        world.Engine.RequestResume();
        world.Scheduler.RunAll();
        Assert.Null(world.Engine.BackgroundFailure);
        Assert.Equal(new LogPosition(1), world.Engine.FlushedPosition);
    }

    /// <summary>One change of the disk after the other fails, once; what cannot be done then is done later.</summary>
    [Theory, EveryEngine]
    public void AFailureOfAnyChangeOfTheDiskHarmsNothing(string engine, DiskKind disk)
    {
        int told = 0;
        for (int skip = 0; skip < 70; skip += disk == DiskKind.Real ? 3 : 1)
        {
            // On a real disk, which takes longer, one kind of failure after the other.
            if (disk == DiskKind.Simulated || skip % 2 == 0)
                told += FailOnce(engine, disk, skip, isFull: true);
            if (disk == DiskKind.Simulated || skip % 2 != 0)
                told += FailOnce(engine, disk, skip, isFull: false);
        }

        Assert.True(told > 5, $"{told} failures were told");
    }

    private static int FailOnce(string engine, DiskKind disk, int skip, bool isFull)
    {
        int told = 0;
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 30; i++)
            world.Put(Key(i), "first");
        world.Flush();
        int left = skip;
        world.Disk.Files.BeforeChange = (kind, path) =>
        {
            if (left-- == 0)
                Fail(isFull, kind, path);
        };
        for (int i = 0; i < 30; i += 2)
            world.Put(Key(i), "second");
        world.DeleteRange(Key(3), Key(6));
        string checkpoint = world.Disk.Root + "/checkpoint";
        told += Try(() => world.FlushAndCompact());
        told += Try(() =>
        {
            using EngineCheckpoint moment = world.Engine.BeginCheckpoint();
            moment.WriteTo(checkpoint);
        });
        told += Try(() => world.Engine.Ingest(Rows("in1", "in2")));
        world.Put("last", "x");
        told += Try(() => world.FlushAndCompact());
        world.Disk.Files.BeforeChange = null;
        var expected = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["last"] = "x" };
        for (int i = 0; i < 30; i++)
            expected[Key(i)] = i % 2 == 0 ? "second" : "first";
        foreach (int gone in new[] { 3, 4, 5 })
            expected.Remove(Key(gone));

        // An ingest that was refused may be there all the same, as a whole.
        if (world.Get("in1") is not null)
            (expected["in1"], expected["in2"]) = ("row in1", "row in2");
        Assert.Equal(expected, world.All());
        for (int i = 0; i < 40 && !world.Engine.TryResume(); i++)
            world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
        if (world.Engine.BackgroundFailure is { } lasting)
        {
            // Of a write that has failed for good an engine may know no more until it is opened again; its log has the rest.
            Assert.False(isFull, lasting.ToString());
            world.Reopen();
            world.Write(b =>
            {
                b.DeleteRange([], []);
                foreach ((string key, string value) in expected)
                    b.Put(Bytes(key), Bytes(value));
            });
        }

        world.FlushAndCompact();
        Assert.Equal(expected, world.All());
        world.Reopen();
        Assert.Equal(expected, world.All());
        world.Close();
        Assert.Empty(world.UnderTest.Verify(world.Disk.Files, world.Folder));
        return told;
    }

    private static int Try(Action action)
    {
        try
        {
            action();
            return 0;
        }
        catch (StorageException)
        {
            return 1;
        }
    }

    private static void Fail(bool isFull, DiskOperationKind kind, string path)
    {
        if (!isFull)
            throw new DiskFailedException(kind.ToString(), path, "Input/output error");

        // What is there already can be made durable, and deleted.
        if (kind is DiskOperationKind.Sync or DiskOperationKind.SyncFolder or DiskOperationKind.Delete)
            return;
        throw new DiskFullException(kind.ToString(), path, "No space left on device") { WroteNothing = true };
    }
}
