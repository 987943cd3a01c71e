using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Manifest;

public sealed class ManifestTests
{
    [Fact]
    public void EveryFlippedByteIsRefusedOrChangesNothing()
    {
        MemoryFileSystem files = WithThreeFlushes(out string manifest, out string good);
        byte[] bytes = files.Bytes(manifest);
        int refused = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] bad = [.. bytes];
            bad[i] ^= (byte)(1 << (i % 8));
            files.SetBytes(manifest, bad);
            try
            {
                Assert.Equal(good, Describe(ManifestLog.Load(files, Folder)));
            }
            catch (StorageException e) when (e is CorruptionException or FormatTooNewException)
            {
                refused++;
            }
        }

        // Only the last mark may be damaged without a word: what it vouches for is there to see.
        Assert.Equal(bytes.Length - ManifestFormat.RecordHeaderBytes, refused);
    }

    [Fact]
    public void AFolderIsItsFirstOwnersForEver()
    {
        MemoryFileSystem files = WithThreeFlushes(out _, out string good);
        var first = new EngineOwner(7, 1);
        ManifestLog.Open(files, Folder, first).Dispose();

        string[] before = [.. files.ListFiles(Folder)];
        foreach (EngineOwner other in new EngineOwner[] { new(7, 2), new(8, 1) })
        {
            CorruptionException refusal = Assert.Throws<CorruptionException>(() => ManifestLog.Open(files, Folder, other));
            Assert.Contains(first.ToString(), refusal.Message, StringComparison.Ordinal);
            Assert.Contains(TableVerifier.Verify(files, Folder, owner: other), f => f.Detail.Contains(other.ToString(), StringComparison.Ordinal));
        }

        Assert.Equal(before, files.ListFiles(Folder));
        Assert.Empty(TableVerifier.Verify(files, Folder, owner: first));
        ManifestLog.Open(files, Folder).Dispose();
        using ManifestLog again = ManifestLog.Open(files, Folder, first);
        Assert.Equal(first, again.State.Owner);
        Assert.Equal(first, again.Commit(new TableSetEdit { FlushedPosition = new LogPosition(4) }).Owner);
        Assert.Equal(first, ManifestLog.Load(files, Folder).Owner);
        Assert.NotEmpty(good);
    }

    [Fact]
    public void ACutManifestIsRefusedOrEndsAtAnEdit()
    {
        MemoryFileSystem files = WithThreeFlushes(out string manifest, out _);
        byte[] bytes = files.Bytes(manifest);
        var seen = new List<ulong>();
        for (int length = 0; length < bytes.Length; length++)
        {
            files.SetBytes(manifest, bytes[..length]);
            try
            {
                ManifestState state = ManifestLog.Load(files, Folder);
                Assert.Equal((ulong)state.TableCount, state.FlushedPosition.Value);
                seen.Add(state.FlushedPosition.Value);
            }
            catch (CorruptionException)
            {
            }
        }

        Assert.Equal([0UL, 1, 2, 3], seen.Distinct());
    }

    [Fact]
    public void ATornEditThatNobodyWasToldOfIsLeftOut()
    {
        MemoryFileSystem files = WithThreeFlushes(out string manifest, out string good);
        byte[] bytes = files.Bytes(manifest);
        for (int extra = 1; extra < 60; extra++)
        {
            var torn = new byte[bytes.Length + extra];
            bytes.CopyTo(torn, 0);
            new SeededRandom((ulong)extra).NextBytes(torn.AsSpan(bytes.Length));
            files.SetBytes(manifest, torn);
            Assert.Equal(good, Describe(ManifestLog.Load(files, Folder)));
        }
    }

    [Fact]
    public void OnAFullDiskAnEditThatMayNotBeDurableIsNotReliedOn()
    {
        var disk = new SimulatedFileSystem(new SeededRandom(1));
        disk.CreateFolder(Folder);
        ManifestLog log = ManifestLog.Open(disk, Folder);
        log.Commit(new TableSetEdit { FlushedPosition = new LogPosition(5), LastSequence = 5 });
        disk.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.Sync));
        Assert.Throws<SimulatedCrashException>(() => log.Commit(new TableSetEdit { FlushedPosition = new LogPosition(9), LastSequence = 9 }));

        SimulatedFileSystem killed = disk.AfterCrash(new SeededRandom(2), CrashKind.ProcessKill);
        Assert.Equal(9UL, ManifestLog.Load(killed, Folder).FlushedPosition.Value);
        killed.CapacityBytes = 0;
        Assert.Equal(5UL, ManifestLog.Open(killed, Folder).State.FlushedPosition.Value);

        // With space a new manifest makes it durable.
        killed.CapacityBytes = long.MaxValue;
        ManifestLog.Open(killed, Folder).Dispose();
        SimulatedFileSystem lost = killed.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        Assert.Equal(9UL, ManifestLog.Load(lost, Folder).FlushedPosition.Value);
    }

    [Fact]
    public void AFolderThatWasLeftInOrderIsOpenedAsItIs()
    {
        MemoryFileSystem files = WithThreeFlushes(out string manifest, out string good);
        string[] paths = [.. files.Paths];
        byte[] bytes = files.Bytes(manifest);
        using (var log = ManifestLog.Open(files, Folder))
        {
            Assert.Equal(good, Describe(log.State));
            Assert.Equal(paths, files.Paths);
            Assert.Equal(bytes, files.Bytes(manifest));

            // What is committed goes into a manifest of its own.
            log.Commit(new TableSetEdit { FlushedPosition = new LogPosition(9), LastSequence = 9 });
        }

        string after = files.Paths.Single(p => p.Contains(TableFiles.ManifestPrefix, StringComparison.Ordinal));
        Assert.NotEqual(manifest, after);
        ManifestState state = ManifestLog.Load(files, Folder, marked: true);
        Assert.Equal(9UL, state.FlushedPosition.Value);
        Assert.Equal(3, state.Tables.Count());
    }

    /// <summary>Also where a file is left over, and the disk has no room for the new manifest that this asks for.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AMarkThatMayNotBeDurableIsMadeSoBeforeAnythingBuildsOnIt(bool isFull)
    {
        var disk = new SimulatedFileSystem(new SeededRandom(1));
        disk.CreateFolder(Folder);
        ManifestLog log = ManifestLog.Open(disk, Folder);
        disk.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.Sync) { Skip = 1 });
        Assert.Throws<SimulatedCrashException>(() => log.Commit(new TableSetEdit { FlushedPosition = new LogPosition(9), LastSequence = 9 }));

        SimulatedFileSystem killed = disk.AfterCrash(new SeededRandom(2), CrashKind.ProcessKill);
        Assert.Equal(9UL, ManifestLog.Load(killed, Folder, marked: true).FlushedPosition.Value);
        if (isFull)
        {
            killed.Open(TableFiles.TablePath(Folder, 77), FileOpenMode.CreateNew).Dispose();
            killed.CapacityBytes = 0;
        }

        ManifestLog.Open(killed, Folder).Dispose();
        SimulatedFileSystem lost = killed.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        Assert.Equal(9UL, ManifestLog.Load(lost, Folder, marked: true).FlushedPosition.Value);
    }

    [Fact]
    public void CurrentIsDurableBeforeAnythingBuildsOnIt()
    {
        var disk = new SimulatedFileSystem(new SeededRandom(1));
        disk.CreateFolder(Folder);
        disk.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.SyncFolder) { Skip = 1 });
        Assert.Throws<SimulatedCrashException>(() => ManifestLog.Open(disk, Folder));
        SimulatedFileSystem killed = disk.AfterCrash(new SeededRandom(2), CrashKind.ProcessKill);
        Assert.True(killed.FileExists(TableFiles.Join(Folder, TableFiles.CurrentName)));
        killed.BeforeOperation = _ =>
        {
            for (ulong seed = 0; seed < 20; seed++)
                ManifestLog.Open(killed.AfterCrash(new SeededRandom(seed), CrashKind.LoseSubset), Folder).Dispose();
        };
        ManifestLog.Open(killed, Folder).Dispose();
    }

    [Fact]
    public void AFlippedByteInCurrentIsRefused()
    {
        MemoryFileSystem files = WithThreeFlushes(out _, out _);
        string path = TableFiles.Join(Folder, TableFiles.CurrentName);
        byte[] bytes = files.Bytes(path);
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] bad = [.. bytes];
            bad[i] ^= 1;
            files.SetBytes(path, bad);
            Assert.ThrowsAny<StorageException>(() => ManifestLog.Load(files, Folder));
        }
    }

    [Fact]
    public void AnythingMissingStopsTheOpeningWithItsName()
    {
        MemoryFileSystem whole = WithThreeFlushes(out _, out _);
        foreach (string path in whole.Paths)
        {
            MemoryFileSystem files = whole.Clone();
            files.Delete(path);
            var thrown = Assert.Throws<FileMissingException>(() => Open(files).Dispose());
            Assert.Contains(path, thrown.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void ATableOfAnotherLengthOrNumberStopsTheOpening()
    {
        MemoryFileSystem whole = WithThreeFlushes(out _, out _);
        string[] tables = [.. whole.Paths.Where(TableInspector.Knows)];
        MemoryFileSystem files = whole.Clone();
        files.SetBytes(tables[0], files.Bytes(tables[0])[..^1]);
        Assert.Equal(tables[0], Assert.Throws<CorruptionException>(() => Open(files).Dispose()).Path);

        files = whole.Clone();
        Assert.Equal(files.Bytes(tables[0]).Length, files.Bytes(tables[1]).Length);
        files.SetBytes(tables[0], files.Bytes(tables[1]));
        Assert.Equal(tables[0], Assert.Throws<CorruptionException>(() => Open(files).Dispose()).Path);
    }

    [Fact]
    public void AManifestThatHasGrownIsWrittenAnew()
    {
        var files = new MemoryFileSystem();
        TableStore store = Open(files);
        string[] before = [.. files.Paths.Where(ManifestInspector.Knows)];
        for (ulong i = 1; i <= 30_000; i++)
            store.Flush(new SortedSource([]), [], new LogPosition(i), i);
        string[] after = [.. files.Paths.Where(ManifestInspector.Knows)];
        Assert.Equal(2, after.Length);
        Assert.NotEqual(before, after);
        store.Dispose();
        store = Open(files);
        Assert.Equal(new LogPosition(30_000), store.FlushedPosition);
        store.Dispose();
    }

    private static MemoryFileSystem WithThreeFlushes(out string manifest, out string state)
    {
        var files = new MemoryFileSystem();
        TableStore store = Open(files);
        for (ulong i = 1; i <= 3; i++)
            store.Flush(new SortedSource([Put($"key{i}", i, "value")]), [], new LogPosition(i), i);
        store.Dispose();
        manifest = files.Paths.Single(p => p.Contains(TableFiles.ManifestPrefix, StringComparison.Ordinal));
        state = Describe(ManifestLog.Load(files, Folder));
        return files;
    }

    private static TableStore Open(MemoryFileSystem files) =>
        TableStore.Open(Folder, new EngineEnvironment(files, new InlineScheduler(), new MemoryBudget(MemoryBudget.MinimumBytes)), SmallOptions);

    private static string Describe(ManifestState state) =>
        $"{state.FlushedPosition} {state.LastSequence} {string.Join(' ', state.Tables.Select(t => (t.Level, t.Number, t.SizeBytes)))}";
}
