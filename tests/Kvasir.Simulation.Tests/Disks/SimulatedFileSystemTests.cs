using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Tests.Disks;

public sealed class SimulatedFileSystemTests
{
    [Fact]
    public void SyncedBytesAndNamesSurviveEveryCrash()
    {
        foreach (CrashKind kind in Enum.GetValues<CrashKind>())
        {
            SimulatedFileSystem disk = WithFile("/d/a", "synced"u8, out IFile file);
            file.Sync(SyncMode.Full);
            disk.SyncFolder("/d");
            SimulatedFileSystem after = disk.AfterCrash(new SeededRandom(1), kind);
            Assert.Equal("synced"u8.ToArray(), after.ReadAll("/d/a"));
        }
    }

    [Fact]
    public void ANameThatWasNotSyncedIsSometimesLostAndSometimesNot()
    {
        SimulatedFileSystem disk = WithFile("/d/a", "x"u8, out IFile file);
        file.Sync(SyncMode.Full);
        int kept = 0;
        for (ulong seed = 0; seed < 100; seed++)
            kept += disk.AfterCrash(new SeededRandom(seed), CrashKind.LoseSubset).Paths.Count;
        Assert.InRange(kept, 20, 80);
        Assert.Empty(disk.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced).Paths);
        Assert.Single(disk.AfterCrash(new SeededRandom(1), CrashKind.ProcessKill).Paths);
    }

    [Fact]
    public void UnsyncedWritesAreLostInAnyOrderAndTorn()
    {
        SimulatedFileSystem disk = WithFile("/d/a", new byte[8192], out IFile file);
        file.Sync(SyncMode.Full);
        disk.SyncFolder("/d");
        file.Write(Enumerable.Repeat((byte)1, 4096).ToArray(), 0);
        file.Write(Enumerable.Repeat((byte)2, 4096).ToArray(), 4096);
        var outcomes = new HashSet<(bool, bool, bool)>();
        for (ulong seed = 0; seed < 200; seed++)
        {
            byte[] left = disk.AfterCrash(new SeededRandom(seed), CrashKind.TearSectors).ReadAll("/d/a");
            int first = left.AsSpan(0, 4096).Count((byte)1);
            int second = left.AsSpan(4096).Count((byte)2);
            Assert.Equal(0, first % 512);
            outcomes.Add((first > 0, second > 0, first is > 0 and < 4096));
        }

        Assert.Contains((false, true, false), outcomes);
        Assert.Contains((true, false, true), outcomes);
        Assert.Equal(new byte[8192], disk.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced).ReadAll("/d/a"));
    }

    [Fact]
    public void AFailedSyncKeepsOrDropsThePagesAndTheProgramCannotTell()
    {
        int lost = 0;
        for (ulong seed = 0; seed < 40; seed++)
        {
            SimulatedFileSystem disk = WithFile("/d/a", new byte[1], out IFile file, seed);
            file.Sync(SyncMode.Full);
            disk.SyncFolder("/d");
            file.Write([7], 0);
            disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync) { Times = 1 });
            Assert.Throws<DiskFailedException>(() => file.Sync(SyncMode.Data));
            Assert.Equal([7], disk.ReadAll("/d/a"));
            file.Sync(SyncMode.Data);
            lost += disk.AfterCrash(new SeededRandom(seed), CrashKind.LoseUnsynced).ReadAll("/d/a")[0] == 0 ? 1 : 0;
        }

        Assert.InRange(lost, 1, 39);
    }

    [Fact]
    public void AnIndependentCopyIsNotTouchedByLaterWrites()
    {
        SimulatedFileSystem disk = WithFile("/d/a", "old"u8, out IFile file);
        SimulatedFileSystem copy = disk.Clone();
        file.Write("new"u8, 0);
        Assert.Equal("old"u8.ToArray(), copy.ReadAll("/d/a"));
        Assert.Equal("new"u8.ToArray(), disk.ReadAll("/d/a"));
    }

    [Fact]
    public void AFullDiskRefusesGrowthOnly()
    {
        SimulatedFileSystem disk = WithFile("/d/a", new byte[100], out IFile file);
        disk.CapacityBytes = 100;
        file.Write([1], 5);
        Assert.Throws<DiskFullException>(() => file.Write([1], 100));
        Assert.Throws<DiskFullException>(() => file.Allocate(200));
    }

    [Fact]
    public void AStoppedMachineThrowsFromEveryCallAndOneSeedGivesOneRun()
    {
        SimulatedFileSystem one = WithFile("/d/a", "x"u8, out IFile file);
        SimulatedFileSystem two = WithFile("/d/a", "x"u8, out _);
        Assert.Equal(one.Fingerprint, two.Fingerprint);
        one.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.Sync));
        Assert.Throws<SimulatedCrashException>(() => file.Sync(SyncMode.Data));
        Assert.Throws<SimulatedCrashException>(() => one.FileExists("/d/a"));
        Assert.NotEqual(one.Fingerprint, two.Fingerprint);
    }

    private static SimulatedFileSystem WithFile(string path, ReadOnlySpan<byte> content, out IFile file, ulong seed = 1)
    {
        var disk = new SimulatedFileSystem(new SeededRandom(seed));
        disk.CreateFolder("/d");
        file = disk.Open(path, FileOpenMode.CreateNew);
        file.Write(content, 0);
        return disk;
    }
}
