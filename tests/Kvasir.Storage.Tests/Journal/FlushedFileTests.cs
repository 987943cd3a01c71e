using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

public sealed class FlushedFileTests
{
    private const string Folder = "/data";
    private const ulong JournalId = 7;

    [Fact]
    public void WhatWasSavedIsReadAgain()
    {
        SimulatedFileSystem disk = NewDisk();
        FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
        Assert.Empty(file.Marks.Flushed);
        for (ulong i = 1; i <= 5; i++)
        {
            file.Save(JournalId, [At(i), At(10 * i)], At(i == 2 ? 200UL : 0UL));
            FlushedMarks read = FlushedFile.Open(disk, Folder, JournalId).Marks;
            Assert.Equal([At(i), At(10 * i)], read.Flushed);

            // A journal never reaches less far than it did.
            Assert.Equal(At(i < 2 ? 0UL : 200UL), read.End);
        }
    }

    [Fact]
    public void MoreStreamsThanFitTakeALongerFile()
    {
        SimulatedFileSystem disk = NewDisk();
        FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
        file.Save(JournalId, [At(1)], LogPosition.Zero);
        LogPosition[] many = [.. Enumerable.Range(1, 2000).Select(i => At((ulong)i))];
        file.Save(JournalId, many, LogPosition.Zero);
        many[3] = At(5000);
        file.Save(JournalId, many, LogPosition.Zero);
        Assert.Equal(many, FlushedFile.Open(disk, Folder, JournalId).Marks.Flushed);
    }

    [Fact]
    public void ACrashAtAnyMomentLeavesTheLastOrTheOneBefore()
    {
        foreach (CrashKind kind in Enum.GetValues<CrashKind>())
        {
            for (ulong seed = 1; seed <= 20; seed++)
            {
                SimulatedFileSystem disk = NewDisk();
                FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
                file.Save(JournalId, [At(1)], LogPosition.Zero);
                ulong saved = 1;
                disk.BeforeOperation = _ =>
                {
                    SimulatedFileSystem crashed = disk.AfterCrash(new SeededRandom(seed), kind);
                    LogPosition found = Assert.Single(FlushedFile.Open(crashed, Folder, JournalId).Marks.Flushed);
                    Assert.True(found == At(saved) || found == At(saved + 1), $"{kind}, seed {seed}: {found} after {saved}");
                };
                for (; saved < 4; saved++)
                    file.Save(JournalId, [At(saved + 1)], LogPosition.Zero);
                disk.BeforeOperation = null;
                Assert.Equal([At(4)], FlushedFile.Open(disk.AfterCrash(new SeededRandom(seed), kind), Folder, JournalId).Marks.Flushed);
            }
        }
    }

    [Fact]
    public void WhatAKilledProcessDidNotSyncIsNotReliedOn()
    {
        foreach (CrashKind kind in Enum.GetValues<CrashKind>())
        {
            for (ulong seed = 1; seed <= 50; seed++)
            {
                // The second record is in the page cache, and its process is gone before the sync.
                SimulatedFileSystem disk = NewDisk();
                FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
                file.Save(JournalId, [At(1)], LogPosition.Zero);
                SimulatedFileSystem? killed = null;
                disk.BeforeOperation = operation =>
                {
                    if (operation.Kind == DiskOperationKind.Sync)
                        killed ??= disk.AfterCrash(new SeededRandom(seed), CrashKind.ProcessKill);
                };
                file.Save(JournalId, [At(2)], LogPosition.Zero);

                // The next process writes a third in the place of the first, and the power goes.
                FlushedFile next = FlushedFile.Open(killed!, Folder, JournalId);
                Assert.Equal([At(2)], next.Marks.Flushed);
                killed!.BeforeOperation = _ =>
                {
                    SimulatedFileSystem crashed = killed.AfterCrash(new SeededRandom(seed), kind);
                    Assert.InRange(Assert.Single(FlushedFile.Open(crashed, Folder, JournalId).Marks.Flushed).Value, 1UL, 3UL);
                };
                next.Save(JournalId, [At(3)], LogPosition.Zero);
            }
        }
    }

    [Fact]
    public void AFullDiskTakesIt()
    {
        SimulatedFileSystem disk = NewDisk();
        FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
        file.Save(JournalId, [At(1)], LogPosition.Zero);
        disk.CapacityBytes = 0;
        file.Save(JournalId, [At(2)], LogPosition.Zero);
        Assert.Equal([At(2)], FlushedFile.Open(disk, Folder, JournalId).Marks.Flushed);
    }

    [Fact]
    public void AFailedSaveIsMadeGoodByTheNext()
    {
        SimulatedFileSystem disk = NewDisk();
        FlushedFile file = FlushedFile.Open(disk, Folder, JournalId);
        file.Save(JournalId, [At(1)], LogPosition.Zero);
        file.Save(JournalId, [At(2)], LogPosition.Zero);
        disk.BeforeOperation = operation =>
        {
            if (operation.Kind == DiskOperationKind.Sync)
                throw new DiskFailedException("sync", operation.Path, "EIO");
        };
        Assert.Throws<DiskFailedException>(() => file.Save(JournalId, [At(3)], LogPosition.Zero));
        disk.BeforeOperation = null;
        Assert.Equal([At(2)], file.Marks.Flushed);
        file.Save(JournalId, [At(4)], LogPosition.Zero);
        Assert.Equal([At(4)], FlushedFile.Open(disk.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced), Folder, JournalId).Marks.Flushed);
    }

    [Fact]
    public void DamageIsToldAndAnotherJournalsFileRefused()
    {
        SimulatedFileSystem disk = NewDisk();
        FlushedFile.Open(disk, Folder, JournalId).Save(JournalId, [At(1)], LogPosition.Zero);
        Assert.Contains("belongs here", Assert.Throws<CorruptionException>(() => FlushedFile.Open(disk, Folder, 8)).Message, StringComparison.Ordinal);
        Assert.Empty(FlushedFile.Open(disk, Folder, journalId: 0).Marks.Flushed);

        // The only record that was ever written.
        disk.FlipBit(FlushedFile.PathIn(Folder), 50, 1);
        Assert.Throws<CorruptionException>(() => FlushedFile.Open(disk, Folder, JournalId));
        disk.WriteAll(FlushedFile.PathIn(Folder), new byte[100]);
        Assert.Throws<CorruptionException>(() => FlushedFile.Open(disk, Folder, JournalId));
    }

    private static LogPosition At(ulong position) => new(position);

    private static SimulatedFileSystem NewDisk()
    {
        SimulatedFileSystem disk = new(new SeededRandom(1));
        disk.CreateFolder(Folder);
        return disk;
    }
}
