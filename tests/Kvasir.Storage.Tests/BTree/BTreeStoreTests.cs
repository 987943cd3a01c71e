using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>The promises of a store and its transactions, one by one, and what happens to those who misuse them.</summary>
public sealed class BTreeStoreTests
{
    [Fact]
    public void ASmallCommitIsSyncedOnce()
    {
        var world = new BTreeWorld(1);
        using BTreeStore store = world.Open();
        Put(store, "a", "1");
        long syncs = world.Files.SyncCount;
        for (int i = 0; i < 10; i++)
            Put(store, $"key{i}", "value");
        Assert.Equal(syncs + 10, world.Files.SyncCount);
        using (WriteTransaction empty = store.BeginWrite())
            empty.Commit();
        Assert.Equal(syncs + 10, world.Files.SyncCount);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("", "v")]
    [InlineData("k", "")]
    [InlineData("k", "v")]
    public void AnEntryOfHardlyAnyBytesIsReadBack(string key, string value)
    {
        var world = new BTreeWorld(3);
        BTreeStore store = world.Open();
        Put(store, key, value);
        store.Dispose();
        store = world.Open();
        using (ReadTransaction transaction = store.BeginRead())
        {
            Assert.True(transaction.Root.TryGet(BTreeWorld.Key(key), out ReadOnlySpan<byte> found));
            Assert.Equal(value, Encoding.UTF8.GetString(found));
        }

        store.Dispose();
    }

    [Fact]
    public void BucketsNestAndKeepApart()
    {
        var world = new BTreeWorld(2);
        BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            WritableBucket outer = transaction.Root.GetOrCreateBucket("outer"u8);
            WritableBucket inner = outer.GetOrCreateBucket("inner"u8);
            Assert.Same(inner, outer.FindBucket("inner"u8));
            transaction.Root.Put("k"u8, "root"u8);
            outer.Put("k"u8, "outer"u8);
            for (int i = 0; i < 2000; i++)
                inner.Put(BTreeWorld.Key($"k{i}"), new byte[50]);
            Assert.Throws<WrongEntryKindException>(() => transaction.Root.Put("outer"u8, "x"u8));
            Assert.Throws<WrongEntryKindException>(() => transaction.Root.Delete("outer"u8));
            Assert.Throws<WrongEntryKindException>(() => transaction.Root.FindBucket("k"u8));
            Assert.False(transaction.Root.TryGet("outer"u8, out _));
            transaction.Commit();
        }

        store.Dispose();
        store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            WritableBucket inner = transaction.Root.FindBucket("outer"u8)!.FindBucket("inner"u8)!;
            inner.Put("new"u8, "1"u8);
            inner.GetOrCreateBucket("empty"u8);
            transaction.Commit();
        }

        using (ReadTransaction reader = store.BeginRead())
        {
            Assert.Equal("root"u8, reader.Root.Get("k"u8)!);
            Bucket outer = reader.Root.FindBucket("outer"u8)!;
            Assert.Equal("outer"u8, outer.Get("k"u8)!);
            Assert.Equal(2001, BTreeWorld.ReadAll(outer.FindBucket("inner"u8)!).Count);
            Assert.True(outer.FindBucket("inner"u8)!.FindBucket("empty"u8)!.IsEmpty);
            BTreeCursor cursor = reader.Root.OpenCursor();
            Assert.True(cursor.SeekLast() && cursor.IsBucket);
            Assert.Throws<WrongEntryKindException>(() => cursor.Value.Length);
        }

        using (WriteTransaction transaction = store.BeginWrite())
        {
            WritableBucket outer = transaction.Root.FindBucket("outer"u8)!;
            WritableBucket inner = outer.FindBucket("inner"u8)!;
            inner.Put("unflushed"u8, new byte[3000]);
            transaction.Root.DeleteRange("o"u8, "p"u8);
            Assert.Throws<InvalidOperationException>(() => inner.Put("x"u8, default));
            Assert.Throws<InvalidOperationException>(() => outer.Get("x"u8));
            transaction.Commit();
        }

        BTreeWorld.AssertSound(world.Files);
        store.Dispose();
    }

    [Fact]
    public void BucketsLieAThousandDeepAndNoDeeperSoThatWalksOverThemEnd()
    {
        var world = new BTreeWorld(3);
        Exception? failure = null;
        var small = new Thread(
            () =>
            {
                try
                {
                    using BTreeStore store = world.Open();
                    using (WriteTransaction transaction = store.BeginWrite())
                    {
                        WritableBucket bucket = transaction.Root;
                        for (int i = 0; i < 1000; i++)
                            bucket = bucket.GetOrCreateBucket("in"u8);
                        bucket.Put("k"u8, "v"u8);
                        Assert.Throws<InvalidOperationException>(() => bucket.GetOrCreateBucket("in"u8));
                        transaction.Commit();
                    }

                    store.Shrink();
                    Assert.Empty(store.Verify());
                }
                catch (Exception e)
                {
                    failure = e;
                }
            },
            maxStackSize: 1 << 20);
        small.Start();
        small.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void ACursorStaysRightBesideWritesOfItsTransaction()
    {
        var world = new BTreeWorld(3);
        using BTreeStore store = world.Open();
        using WriteTransaction transaction = store.BeginWrite();
        for (int i = 0; i < 1000; i++)
            transaction.Root.Put(BTreeWorld.Key($"{i:D4}"), new byte[40]);
        BTreeCursor cursor = transaction.Root.OpenCursor();
        Assert.True(cursor.Seek("0100"u8));
        for (int i = 0; i < 300; i++)
            transaction.Root.Put(BTreeWorld.Key($"0100-{i:D3}"), new byte[90]);
        Assert.Equal("0100"u8, cursor.Key);
        Assert.True(cursor.Next());
        Assert.Equal("0100-000"u8, cursor.Key);
        transaction.Root.Delete("0100-000"u8);
        Assert.Throws<InvalidOperationException>(() => cursor.Key.Length);
        Assert.True(cursor.Next());
        Assert.Equal("0100-001"u8, cursor.Key);
        transaction.Root.DeleteRange("0100"u8, "0101"u8);
        Assert.True(cursor.Previous());
        Assert.Equal("0099"u8, cursor.Key);
        Assert.True(cursor.Next());
        Assert.Equal("0101"u8, cursor.Key);
    }

    [Fact]
    public void WhatIsOverFailsClearly()
    {
        var world = new BTreeWorld(4);
        BTreeStore store = world.Open();
        Put(store, "a", "1");
        ReadTransaction reader = store.BeginRead();
        Bucket root = reader.Root;
        BTreeCursor cursor = root.OpenCursor();
        Assert.Throws<InvalidOperationException>(() => cursor.Key.Length);
        cursor.SeekFirst();
        reader.Dispose();
        Assert.Throws<ObjectDisposedException>(() => root.Get("a"u8));
        Assert.Throws<ObjectDisposedException>(() => cursor.Key.Length);
        Assert.Throws<ObjectDisposedException>(() => cursor.Next());
        WriteTransaction writer = store.BeginWrite();
        writer.Root.Put("b"u8, "2"u8);
        writer.Commit();
        Assert.Throws<ObjectDisposedException>(() => writer.Root.Put("c"u8, "3"u8));
        Assert.Throws<ObjectDisposedException>(writer.Commit);
        reader = store.BeginRead();
        WriteTransaction open = store.BeginWrite();
        Assert.True(reader.Root.TryGet("a"u8, out ReadOnlySpan<byte> span));
        store.Dispose();
        store.Dispose();

        // What it gave out can be read until it is disposed.
        Assert.Equal("1"u8, span);
        Assert.Throws<ObjectDisposedException>(() => reader.Root.Get("a"u8));
        Assert.Throws<ObjectDisposedException>(() => open.Root.Put("c"u8, "3"u8));
        Assert.Throws<ObjectDisposedException>(open.Commit);
        Assert.Throws<ObjectDisposedException>(store.BeginRead);
        Assert.Throws<ObjectDisposedException>(store.BeginWrite);
        Assert.Throws<FolderInUseException>(world.Open);
        open.Dispose();
        reader.Dispose();
        using BTreeStore reopened = world.Open();
        Assert.Throws<FolderInUseException>(world.Open);
    }

    [Fact]
    public void KeysAndValuesBeyondTheLimitsAreRefused()
    {
        var world = new BTreeWorld(5);
        using BTreeStore store = world.Open();
        using WriteTransaction transaction = store.BeginWrite();
        Assert.Equal(992, transaction.Root.KeyBytesMax);
        transaction.Root.Put(new byte[992], new byte[10]);
        Assert.Throws<ArgumentException>(() => transaction.Root.Put(new byte[993], new byte[10]));
        Assert.Throws<ArgumentException>(() => transaction.Root.GetOrCreateBucket(new byte[993]));
        Assert.Throws<ArgumentOutOfRangeException>(() => transaction.UserData = new byte[513]);
        transaction.Root.Put([], []);
        transaction.Commit();
        using ReadTransaction reader = store.BeginRead();
        Assert.True(reader.Root.TryGet(default, out ReadOnlySpan<byte> empty) && empty.IsEmpty);
        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void AFileThatIsNoStoreIsRefused()
    {
        var world = new BTreeWorld(6);
        world.Files.WriteAll(BTreeWorld.File, new byte[40_000]);
        Assert.Throws<CorruptionException>(world.Open);
        Assert.Single(Storage.BTree.Checking.BTreeVerifier.Verify(world.Files, BTreeWorld.File));
        world.Files.Delete(BTreeWorld.File);
        world.Open().Dispose();
        byte[] bytes = world.Files.ReadAll(BTreeWorld.File);
        world.Files.WriteAll(BTreeWorld.File, bytes.AsSpan(0, 2 * 4096));
        Assert.Throws<CorruptionException>(world.Open);
    }

    [Fact]
    public void AnActionThatThrowsHarmsNoOtherOfItsBatch()
    {
        var world = new BTreeWorld(7);
        using BTreeStore store = world.Open();
        store.Batch(t => t.Root.Put("a"u8, "1"u8));
        Assert.Throws<FormatException>(() => store.Batch(t =>
        {
            t.Root.Put("b"u8, "2"u8);
            throw new FormatException();
        }));
        store.Batch(t => t.Root.Put("c"u8, "3"u8));
        using ReadTransaction reader = store.BeginRead();
        Assert.Equal(["a", "c"], BTreeWorld.ReadAll(reader.Root).Select(e => System.Text.Encoding.UTF8.GetString(e.Key)));
    }

    [Fact]
    public void ManyThreadsShareCommitsAndSeeWhatTheyWrote()
    {
        string folder = Path.Join(Path.GetTempPath(), $"kvasir-btree-{Guid.NewGuid():N}");
        Directory.CreateDirectory(folder);
        try
        {
            using var scheduler = new ThreadScheduler(TimeProvider.System);
            using BTreeStore store = BTreeStore.Open(new PosixFileSystem(), Path.Join(folder, "store"), scheduler);
            ulong before = store.GetStatistics().Transaction;
            Thread[] threads = [.. Enumerable.Range(0, 16).Select(id => new Thread(() =>
            {
                for (int i = 0; i < 50; i++)
                {
                    byte[] key = BTreeWorld.Key($"{id}:{i}");
                    if (i == 25)
                        Assert.Throws<FormatException>(() => store.Batch(t => throw new FormatException(t.Root.Contains(key).ToString())));
                    store.Batch(t => t.Root.Put(key, key));
                    using ReadTransaction reader = store.BeginRead();
                    Assert.Equal(key, reader.Root.Get(key));
                }
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            foreach (Thread thread in threads)
                thread.Join();
            using ReadTransaction all = store.BeginRead();
            Assert.Equal(800, BTreeWorld.ReadAll(all.Root).Count);
            Assert.True(store.GetStatistics().Transaction - before < 800);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void PagesThatAreGoneUnderTheMapAreAnExceptionAndNotTheEndOfTheProcess()
    {
        if (!OperatingSystem.IsLinux())
            return;
        string folder = Path.Join(Path.GetTempPath(), $"kvasir-btree-{Guid.NewGuid():N}");
        Directory.CreateDirectory(folder);
        try
        {
            (int exitCode, string output) = ChildProcess.Run(tracer: null, "cut", folder);
            Assert.True(exitCode == 0, output);
            string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal("2001", lines[0]);
            Assert.StartsWith($"DiskFailedException: {folder}/cut: ", lines[1], StringComparison.Ordinal);
            for (int i = 2; i <= 4; i++)
                Assert.StartsWith($"CorruptionException: {folder}/cut is damaged at offset ", lines[i], StringComparison.Ordinal);
            Assert.Equal(["2001", "null"], lines[5..]);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void ReadersOnTheRealDiskSeeOneStateEachWhileAWriterGoesOn()
    {
        string folder = Path.Join(Path.GetTempPath(), $"kvasir-btree-{Guid.NewGuid():N}");
        Directory.CreateDirectory(folder);
        try
        {
            using var scheduler = new ThreadScheduler(TimeProvider.System);
            foreach (bool useMap in new[] { true, false })
            {
                string path = Path.Join(folder, $"store-{useMap}");
                using BTreeStore store = BTreeStore.Open(new PosixFileSystem(), path, scheduler, new BTreeOptions { UseMap = useMap, MapBytesMin = 1 << 16 });
                int done = 0;
                long reads = 0;
                Thread[] readers = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
                {
                    while (Volatile.Read(ref done) == 0)
                    {
                        using ReadTransaction reader = store.BeginRead();
                        BTreeCursor cursor = reader.Root.OpenCursor();
                        byte[]? round = null;
                        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
                        {
                            round ??= cursor.Value.ToArray();
                            Assert.True(cursor.Value.SequenceEqual(round));
                        }

                        Interlocked.Increment(ref reads);
                    }
                }))];
                foreach (Thread thread in readers)
                    thread.Start();
                for (int round = 0; round < 60 || Volatile.Read(ref reads) < 20; round++)
                {
                    using WriteTransaction transaction = store.BeginWrite();
                    for (int i = 0; i < 200; i++)
                        transaction.Root.Put(BTreeWorld.Key($"{i}"), BTreeWorld.Key($"{round}:" + new string('v', round % 60)));
                    transaction.Commit();
                }

                Volatile.Write(ref done, 1);
                foreach (Thread thread in readers)
                    thread.Join();
                store.Dispose();
                Assert.Empty(Storage.BTree.Checking.BTreeVerifier.Verify(new PosixFileSystem(), path));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void OpeningReadsTheSameFromASmallFileAndALargeOne()
    {
        long[] reads = new long[2];
        for (int size = 0; size < 2; size++)
        {
            var world = new BTreeWorld(9, new BTreeOptions { UseMap = false, BackgroundUpkeep = false });
            using (BTreeStore store = world.Open())
            {
                using (WriteTransaction transaction = store.BeginWrite())
                {
                    for (int i = 0; i < 20 * size; i++)
                        transaction.Root.Put(BTreeWorld.Key($"{i}"), new byte[8 << 20]);
                    transaction.Commit();
                }

                Put(store, "last", "commit");
            }

            world.Files.BeforeOperation = operation => reads[size] += operation.Kind == DiskOperationKind.Read ? operation.Length : 0;
            world.Open().Dispose();
        }

        Assert.True(reads[0] > 0);
        Assert.Equal(reads[0], reads[1]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ACopyIsTheCommitItWasBegunAt(bool useMap)
    {
        var world = new BTreeWorld(12, new BTreeOptions { UseMap = useMap, Identity = 8, MapBytesMin = 1 << 18, CachedPages = 16, BackgroundUpkeep = false });
        using BTreeStore store = world.Open();
        var random = new SeededRandom(12);
        var model = new BTreeModel(random, largeValues: true);
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 800; i++)
                model.Step(transaction.Root);
            WritableBucket inner = transaction.Root.GetOrCreateBucket([0xFF]).GetOrCreateBucket("inner"u8);
            for (int i = 0; i < 500; i++)
                inner.Put(BTreeWorld.Key($"{i}"), new byte[100]);
            transaction.Root.GetOrCreateBucket([0xFE]).Put("k"u8, new byte[20_000]);
            transaction.UserData = "here"u8;
            transaction.Commit();
        }

        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.DeleteBucket([0xFE]);
            transaction.Commit();
        }

        int writes = 0;
        world.Files.BeforeOperation = operation =>
        {
            // Between the writes of the copy, others.
            if (operation.Kind != DiskOperationKind.Write || operation.Path == BTreeWorld.File || ++writes % 5 != 0)
                return;
            using WriteTransaction transaction = store.BeginWrite();
            transaction.Root.DeleteRange(BTreeWorld.Key($"key:{random.Next(3000):D6}"), BTreeWorld.Key("key:9"));
            transaction.Root.Put(BTreeWorld.Key($"later {writes}"), new byte[3000]);
            transaction.Commit();
        };
        store.Copy(world.Files, "/db/copy");
        world.Files.BeforeOperation = null;
        Assert.True(writes > 10);
        Assert.Empty(Storage.BTree.Checking.BTreeVerifier.Verify(world.Files, "/db/copy"));
        Assert.Throws<ArgumentException>(() => store.Copy(world.Files, "/db/copy"));
        using BTreeStore copy = BTreeStore.Open(world.Files, "/db/copy", world.Scheduler, world.Options);
        using (ReadTransaction reader = copy.BeginRead())
        {
            model.AssertSame(reader.Root);
            Assert.Equal("here"u8, reader.UserData);
            Assert.Equal(500, BTreeWorld.ReadAll(reader.Root.FindBucket([0xFF])!.FindBucket("inner"u8)!).Count);
            Assert.Null(reader.Root.FindBucket([0xFE]));
        }

        Put(copy, "the copy", "is a store");
        BTreeWorld.AssertSound(world.Files);
        Assert.Empty(Storage.BTree.Checking.BTreeVerifier.Verify(world.Files, "/db/copy"));
        Assert.Contains(Storage.BTree.Checking.BTreeInspector.Inspect(world.Files, "/db/copy"), part => part.Kind == "overflow run");
    }

    [Fact]
    public void TheSchedulerMakesAFileSmallWhileThreadsUseIt()
    {
        string folder = Path.Join(Path.GetTempPath(), $"kvasir-btree-{Guid.NewGuid():N}");
        Directory.CreateDirectory(folder);
        try
        {
            string path = Path.Join(folder, "store");
            long full;
            using (var scheduler = new ThreadScheduler(TimeProvider.System))
            using (BTreeStore store = BTreeStore.Open(new PosixFileSystem(), path, scheduler))
            {
                using (WriteTransaction transaction = store.BeginWrite())
                {
                    WritableBucket bucket = transaction.Root.GetOrCreateBucket("b"u8);
                    for (int i = 0; i < 40_000; i++)
                        (i % 10 == 0 ? transaction.Root : bucket).Put(BTreeWorld.Key($"key:{i:D8}"), new byte[100]);
                    transaction.Commit();
                }

                full = new FileInfo(path).Length;
                using (WriteTransaction transaction = store.BeginWrite())
                {
                    transaction.Root.DeleteBucket("b"u8);
                    transaction.Commit();
                }

                // Each commit asks for upkeep, so there is an end to be waited for by writing.
                for (int i = 0; i < 20_000 && new FileInfo(path).Length * 5 > full; i++)
                {
                    Put(store, "beat", $"{i}");
                    using ReadTransaction reader = store.BeginRead();
                    Assert.True(reader.Root.Contains("key:00000010"u8));
                }
            }

            Assert.True(new FileInfo(path).Length * 5 <= full, $"{new FileInfo(path).Length} of {full} bytes");
            Assert.Empty(Storage.BTree.Checking.BTreeVerifier.Verify(new PosixFileSystem(), path));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void AWriterThatWaitsIsToldWhenTheStoreIsClosed()
    {
        var world = new BTreeWorld(10);
        BTreeStore store = world.Open();
        WriteTransaction open = store.BeginWrite();
        open.Root.Put("a"u8, "1"u8);
        store.Dispose();
        Assert.Throws<ObjectDisposedException>(store.BeginWrite);

        // Whoever was refused had no place to give back: the file is still the open writer's.
        Assert.Throws<FolderInUseException>(world.Open);
        open.Dispose();
        world.Open().Dispose();
    }

    [Fact]
    public void AHundredMillionKeysNeedFourLevels()
    {
        // 16 bytes of key and 100 of value, pages of random inserts, which are 69 % full (Yao 1978).
        const double Fill = 0.69;
        const double Keys = 100e6;
        var layout = new PageLayout(4096, 0);
        double leafCell = NodePage.SlotBytes + NodePage.LeafCellHeader + 16 + 100;
        double pages = Keys / Math.Floor(layout.Usable * Fill / leafCell);

        // A separator tells two neighbours of so many random keys apart: as many bytes as number them, and one more.
        double separator = Math.Ceiling(Math.Log2(Keys) / 8) + 1;
        double fanOut = Math.Floor(layout.Usable * Fill / (NodePage.SlotBytes + NodePage.BranchCellHeader + separator));
        int levels = 1;
        for (; pages > 1; pages = Math.Ceiling(pages / fanOut))
            levels++;
        Assert.Equal(4, levels);
    }

    [Fact]
    public void LevelsAtAScaleThatFitsAreAsComputed()
    {
        var world = new BTreeWorld(8, new BTreeOptions { MapBytesMin = 1 << 26, BackgroundUpkeep = false });
        using BTreeStore store = world.Open();
        var random = new SeededRandom(8);
        var key = new byte[16];
        for (int round = 0; round < 10; round++)
        {
            using WriteTransaction transaction = store.BeginWrite();
            for (int i = 0; i < 20_000; i++)
            {
                random.NextBytes(key);
                transaction.Root.Put(key, new byte[100]);
            }

            transaction.Commit();
        }

        BTreeStatistics statistics = store.GetStatistics();
        Assert.Equal(3, statistics.Levels);
        Assert.InRange(statistics.Pages - statistics.FreePages, 200_000 / 34, 200_000 / 21);
    }

    private static void Put(BTreeStore store, string key, string value)
    {
        using WriteTransaction transaction = store.BeginWrite();
        transaction.Root.Put(BTreeWorld.Key(key), BTreeWorld.Key(value));
        transaction.Commit();
    }
}
