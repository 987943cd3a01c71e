using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Opening and closing: what is refused, with what words, and what nobody may use any more.</summary>
public sealed class OpeningTests
{
    [Theory, EveryEngine]
    public void ItIsThereFromItsFirstOpeningOn(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        IEngineFactory factory = world.UnderTest.Tiny;
        string nowhere = world.Disk.Root + "/nowhere";
        Assert.Equal(nowhere, factory.FindMissing(world.Disk.Files, nowhere));
        Assert.Equal(LogPosition.Zero, factory.ReadFlushedPosition(world.Disk.Files, nowhere));
        Assert.False(world.Disk.Files.FolderExists(nowhere));
        world.Disk.Files.CreateFolder(nowhere);
        Assert.StartsWith(nowhere + "/", factory.FindMissing(world.Disk.Files, nowhere), StringComparison.Ordinal);
        Assert.Null(factory.FindMissing(world.Disk.Files, world.Folder));
        world.Reopen();
        Assert.Null(factory.FindMissing(world.Disk.Files, world.Folder));
        Assert.Empty(world.All());
        Assert.Equal(LogPosition.Zero, world.Engine.FlushedPosition);
        world.Close();
        Assert.Empty(world.UnderTest.Verify(world.Disk.Files, world.Folder));
    }

    [Theory, EveryEngine]
    public void ManyLivesOneContent(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        var expected = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var random = new SeededRandom(12);
        for (int life = 0; life < 12; life++)
        {
            for (int i = 0; i < 30; i++)
            {
                string key = Key(random.Next(80));
                if (random.OneIn(4))
                {
                    world.Delete(key);
                    expected.Remove(key);
                }
                else
                {
                    world.Put(key, $"life {life} write {i}");
                    expected[key] = $"life {life} write {i}";
                }
            }

            SequenceNumber last = world.Engine.LastSequence;
            world.Flush();
            if (random.OneIn(3))
                world.FlushAndCompact();
            world.Reopen();
            Assert.Equal(expected, world.All());
            Assert.True(world.Engine.LastSequence >= last);
            Assert.Equal(world.Engine.FlushedPosition, world.Engine.PublishedPosition);
        }
    }

    [Theory, EveryEngine]
    public void TwoStoresOnOneFolderAreRefused(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        string folder = world.Disk.Root + "/store";
        using (DurableStore store = Open())
        {
            FolderInUseException refusal = Assert.Throws<FolderInUseException>(() => Open().Dispose());
            Assert.Contains(folder, refusal.Message, StringComparison.Ordinal);
            Put(store, "a", "still works");
        }

        using DurableStore again = Open();
        Assert.Equal("still works"u8, EngineWorld.Get(again.Engine, "a"u8)!);

        DurableStore Open() => StoreSettings.Open(world.UnderTest.Tiny, world.Disk, world.Scheduler, folder);
    }

    [Theory, EveryEngine]
    public void AKeyThatIsTooLongIsRefusedBeforeItIsWritten(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        if (world.Engine.KeyBytesMax > 1 << 20)
            return;
        using DurableStore store = StoreSettings.Open(world.UnderTest.Tiny, world.Disk, world.Scheduler, world.Disk.Root + "/store");
        var batch = new WriteBatch();
        batch.Put("a"u8, "1"u8);
        batch.Put(new byte[world.Engine.KeyBytesMax + 1], "x"u8);
        Assert.Throws<ArgumentException>(() => store.Write(batch));
        Assert.Null(EngineWorld.Get(store.Engine, "a"u8));
        Put(store, "a", "2");
    }

    [Theory, EveryEngine]
    public void AnEngineOfSomebodyElseIsNotOpened(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        string folder = world.Disk.Root + "/owned";
        EngineEnvironment mine = world.Environment with { Owner = new EngineOwner(1, 2) };
        world.UnderTest.Tiny.Open(folder, mine).Dispose();
        StorageException refusal = Assert.ThrowsAny<StorageException>(() => world.UnderTest.Tiny.Open(folder, mine with { Owner = new EngineOwner(1, 3) }));
        Assert.Contains(folder, refusal.Message, StringComparison.Ordinal);
        world.UnderTest.Tiny.Open(folder, mine).Dispose();
        world.UnderTest.Tiny.Open(folder, world.Environment).Dispose();

        // One that says nothing becomes the first owner's that asks.
        world.Close();
        world.UnderTest.Tiny.Open(world.Folder, mine).Dispose();
        Assert.ThrowsAny<StorageException>(() => world.UnderTest.Tiny.Open(world.Folder, mine with { Owner = new EngineOwner(9, 2) }));
        world.Reopen();
    }

    [Theory, EveryEngine]
    public void AFileThatIsGoneCutOrGarbageStopsTheStartWithItsName(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> content = world.All();
        LogPosition flushed = world.Engine.FlushedPosition;
        world.Close();
        string whole = world.Disk.Root + "/whole";
        Copy(world.Disk, world.Folder, whole);
        int refused = 0;
        foreach (string path in world.Disk.FilesIn(world.Folder))
        {
            byte[] bytes = world.Disk.ReadAll(path);
            foreach (byte[]? instead in new byte[]?[] { null, [], bytes[..(bytes.Length / 2)], [.. bytes.Select(b => (byte)(b ^ 0x5A))] })
            {
                if (instead is null)
                    world.Disk.Files.Delete(path);
                else
                    world.Disk.WriteAll(path, instead);
                IReadOnlyList<DamageFinding> findings = world.UnderTest.Verify(world.Disk.Files, world.Folder);
                try
                {
                    // One that looks like what was there earlier, before the first opening or after a flush, its owner knows to be missing or old.
                    bool isMissed = world.UnderTest.Tiny.FindMissing(world.Disk.Files, world.Folder) == path
                        || world.UnderTest.Tiny.ReadFlushedPosition(world.Disk.Files, world.Folder) < flushed;
                    using IStorageEngine opened = world.Open(world.Folder);
                    Assert.True(
                        isMissed || (world.UnderTest.CanBeMadeAnew(path) && content.SequenceEqual(All(opened))),
                        $"{path} with {instead?.Length.ToString() ?? "no"} bytes of {bytes.Length} was not missed");
                }
                catch (StorageException refusal)
                {
                    refused++;
                    Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
                    Assert.NotEmpty(findings);
                    Assert.False(world.UnderTest.CanBeMadeAnew(path), refusal.Message);
                }

                world.Scheduler.RunAll();
                Copy(world.Disk, whole, world.Folder);
            }
        }

        Assert.True(refused >= 3, $"{refused} were refused");
        world.Reopen();
        Assert.Equal(content, world.All());
    }

    /// <summary>What it had by then it has given back: nobody else can.</summary>
    [Theory, EveryEngine(Disks = [DiskKind.Simulated])]
    public void AnOpeningThatTheDiskRefusesAnywhereLeavesNothingOpen(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> content = world.All();
        world.Close();
        int refused = 0;
        bool isRefused = true;
        for (int passed = 0; isRefused; passed++)
        {
            SimulatedFileSystem files = world.Disk.Simulated!.Clone();
            EngineEnvironment environment = world.Environment with { Files = files };
            files.Faults.Add(new FaultRule(DiskFault.Failed) { Skip = passed, Times = 1 });
            try
            {
                using IStorageEngine opened = world.UnderTest.Tiny.Open(world.Folder, environment);
                isRefused = files.OperationCount > passed;
                files.Faults.Clear();
            }
            catch (StorageException) when (files.OperationCount > passed)
            {
                refused++;
            }

            files.Faults.Clear();
            world.Scheduler.RunAll();
            Assert.True(files.OpenFiles == 0, $"{files.OpenFiles} files are open after operation {passed} was refused");
            Assert.Equal(0, world.Memory.WriteBytes + world.Memory.CacheBytes + world.Memory.IndexBytes);
            using (IStorageEngine again = world.UnderTest.Tiny.Open(world.Folder, environment))
                Assert.Equal(content, All(again));
            world.Scheduler.RunAll();
        }

        Assert.True(refused > 5, $"{refused} were refused");
    }

    [Theory, EveryEngine]
    public void WhoeverUsesAnEngineThatIsClosedIsTold(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        IStorageEngine closed = world.Engine;
        EngineSnapshot snapshot = closed.CreateSnapshot();
        EngineCheckpoint checkpoint = closed.BeginCheckpoint();
        world.Close();
        closed.Dispose();
        byte[] batch = BytesOf(b => b.Put("a"u8, "1"u8));
        Action[] uses =
        [
            () => closed.Get("key0001"u8, ReadView.Published, value: null),
            () => closed.Get("key0001"u8, ReadView.At(snapshot), value: null),
            () => closed.Stage(batch),
            () => closed.Apply(batch, [new LoggedBatch(0, batch.Length, LogPosition.Max)]),
            () => closed.DiscardAfter(LogPosition.Max),
            () => closed.Prefetch([1], values: true),
            () => closed.CreateScan(default),
            () => closed.CreateSnapshot(),
            closed.Flush,
            () => closed.BeginCheckpoint(),
            () => closed.Ingest(Rows("x")),
            () => closed.Compact(),
            () => closed.EstimateSize([], []),
            () => closed.GetStatistics(),
            () => checkpoint.WriteTo(world.Disk.Root + "/checkpoint"),
        ];
        for (int i = 0; i < uses.Length; i++)
        {
            Exception? told = Record.Exception(uses[i]);
            Assert.True(told is ObjectDisposedException, $"use {i}: {told?.ToString() ?? "nothing was told"}");
        }

        Assert.False(closed.TryResume());
        closed.RequestResume();
        snapshot.Dispose();
        checkpoint.Dispose();
        Assert.False(world.Disk.Files.FolderExists(world.Disk.Root + "/checkpoint"));
        world.Reopen();
        Assert.Equal(50, world.All().Count);
    }

    [Theory, EveryEngine]
    public void WhatIsStagedWhenTheEngineIsClosedIsNotPublished(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        IStorageEngine closed = world.Engine;
        closed.Stage(BytesOf(b => b.Put("a"u8, "1"u8)));
        world.Close();
        Assert.Throws<ObjectDisposedException>(() => closed.Publish(new LogPosition(1)));
        Assert.Equal(LogPosition.Zero, closed.PublishedPosition);
    }

    private static void Put(DurableStore store, string key, string value)
    {
        var batch = new WriteBatch();
        batch.Put(Bytes(key), Bytes(value));
        store.Write(batch);
    }

    private static void Copy(TestDisk disk, string from, string to)
    {
        FolderTree.Remove(disk.Files, to);
        disk.Files.CreateFolder(to);
        foreach (string name in disk.Files.ListFiles(from))
            disk.WriteAll(to + "/" + name, disk.ReadAll(from + "/" + name));
    }
}
