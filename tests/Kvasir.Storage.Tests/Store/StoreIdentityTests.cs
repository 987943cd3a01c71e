using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Store;
using Kvasir.Storage.Tests.Conformance;

namespace Kvasir.Storage.Tests.Store;

/// <summary>The file that says whose a store's folder is (docs/formats/store.md), and what is missed without it.</summary>
public sealed class StoreIdentityTests
{
    private const string Identity = StoreWorld.Folder + "/STORE";

    private static readonly string s_flushed = FlushedFile.PathIn(StoreWorld.Folder);

    [Fact]
    public void ItIsAsItsFormatSays()
    {
        var world = new StoreWorld(1);
        world.Open().Dispose();
        string[] lines = Text(world).Split('\n');
        Assert.Equal(["kvasir store 1", new ModelEngineFactory().Name], lines[..2]);
        Assert.Matches("^journal [0-9a-f]{16}$", lines[2]);
        Assert.Equal("flushed", lines[3]);
        string content = string.Concat(lines[..4].Select(line => line + "\n"));
        Assert.Equal([$"crc32c {Crc32C.Compute(Encoding.ASCII.GetBytes(content)):x8}", ""], lines[4..]);
        Assert.Contains(StoreInspector.Inspect(world.Files, Identity).Fields, f => f is { Key: "checksum", Value: "yes" });
    }

    [Fact]
    public void AFlippedBitAnywhereStopsTheStart()
    {
        var world = new StoreWorld(2);
        using (DurableStore store = world.Open())
            StoreWorld.Put(store, "key", "kept");
        byte[] sound = world.Files.ReadAll(Identity);
        for (int bit = 0; bit < sound.Length * 8; bit++)
        {
            byte[] damaged = [.. sound];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            world.Files.WriteAll(Identity, damaged);
            CorruptionException refusal = Assert.Throws<CorruptionException>(() => world.Open());
            Assert.Equal(Identity, refusal.Path);
        }

        world.Files.WriteAll(Identity, sound);
        using DurableStore again = world.Open();
        Assert.Equal("kept", StoreWorld.Get(again, "key"));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(2)]
    public void AnEarlyVersionsIsOpenedAndMadeAnew(int lines)
    {
        var world = new StoreWorld(3);
        using (DurableStore store = world.Open())
            StoreWorld.Put(store, "key", "kept");
        string sealedText = Text(world);
        string early = string.Concat(sealedText.Split('\n')[..lines].Select(line => line + "\n"));
        world.Files.WriteAll(Identity, Encoding.ASCII.GetBytes(early));
        world.Files.Delete(s_flushed);
        Assert.Null(StoreInspector.FindMissingFile(world.Files, StoreWorld.Folder));
        using (DurableStore store = world.Open())
            Assert.Equal("kept", StoreWorld.Get(store, "key"));
        Assert.Equal(sealedText, Text(world));
    }

    [Fact]
    public void WhereTheDiskRefusesToMakeItAnewTheStoreOpensAllTheSame()
    {
        var world = new StoreWorld(4);
        using (DurableStore store = world.Open())
            StoreWorld.Put(store, "key", "kept");
        byte[] early = Encoding.ASCII.GetBytes(string.Join('\n', Text(world).Split('\n')[..3]) + "\n");
        world.Files.WriteAll(Identity, early);
        var refuses = new ObservedFileSystem(world.Files)
        {
            BeforeChange = (kind, path) =>
            {
                if (kind == DiskOperationKind.Rename && path == Identity)
                    throw new DiskFailedException("rename", path, "refused");
            },
        };
        using (DurableStore store = Open(world, refuses))
            Assert.Equal("kept", StoreWorld.Get(store, "key"));
        Assert.Equal(early, world.Files.ReadAll(Identity));
    }

    [Fact]
    public void AFileThatSaysHowFarTheOthersReachIsMissed()
    {
        var world = new StoreWorld(5);
        world.Open().Dispose();
        Assert.Null(StoreInspector.FindMissingFile(world.Files, StoreWorld.Folder));
        world.Files.Delete(s_flushed);
        Assert.Equal(s_flushed, StoreInspector.FindMissingFile(world.Files, StoreWorld.Folder)?.Path);
        Assert.Equal(s_flushed, Assert.Throws<FileMissingException>(() => world.Open()).Path);
    }

    [Fact]
    public void AStoreThatHasLostItsIdentityIsNotTakenForANewOne()
    {
        var world = new StoreWorld(6);
        world.Open().Dispose();
        world.Files.Delete(Identity);
        Assert.Equal(Identity, StoreInspector.FindMissingFile(world.Files, StoreWorld.Folder)?.Path);
        Assert.Equal(Identity, Assert.Throws<FileMissingException>(() => world.Open()).Path);
    }

    /// <summary>
    /// Whatever a loss of power leaves of a start, after a process was killed in the one before: names that the system has and the disk has not may
    /// stay or go, each by itself.
    /// </summary>
    [Fact]
    public void ACrashOfTheFirstStartsLeavesNothingThatIsMissed()
    {
        const ulong Seeds = 8;
        int points = 0;
        for (int first = 0; CrashAt(new StoreWorld(7), first, CrashKind.ProcessKill, seed: 1) is { } killed; first++)
        {
            for (int second = 0; CrashAt(new StoreWorld(8, killed.Clone()), second, CrashKind.ProcessKill, seed: 1) is not null; second++)
            {
                for (ulong seed = 0; seed < Seeds; seed++)
                {
                    points++;
                    var after = new StoreWorld(9, CrashAt(new StoreWorld(8, killed.Clone()), second, CrashKind.LoseSubset, seed));
                    using DurableStore store = after.Open();
                    StoreWorld.Put(store, "key", "goes on");
                }
            }
        }

        Assert.True(points > 500, $"only {points} points");
    }

    [Fact]
    public void AnOpeningThatFailsAtItsEndLeavesNoFileOpen()
    {
        var world = new StoreWorld(10);
        var refuses = new ObservedFileSystem(world.Files)
        {
            BeforeChange = (kind, path) =>
            {
                if (kind == DiskOperationKind.Rename && path == Identity)
                    throw new DiskFailedException("rename", path, "refused");
            },
        };
        Assert.Throws<DiskFailedException>(() => Open(world, refuses));
        world.Scheduler.RunAll();
        Assert.Equal(0, refuses.OpenFiles);
        refuses.BeforeChange = null;
        Open(world, refuses).Dispose();
        Assert.Equal(0, refuses.OpenFiles);
    }

    /// <summary>What lies on the disk when a start is cut short before that change of the store's own folder; null when it makes fewer.</summary>
    private static SimulatedFileSystem? CrashAt(StoreWorld world, int change, CrashKind kind, ulong seed)
    {
        SimulatedFileSystem? left = null;
        int changes = 0;
        SimulatedFileSystem disk = world.Files;
        disk.BeforeOperation = operation =>
        {
            bool isOfTheFolder = operation.Path == StoreWorld.Folder
                || operation.Path.StartsWith(Identity, StringComparison.Ordinal) || operation.Path.StartsWith(s_flushed, StringComparison.Ordinal);
            if (isOfTheFolder && operation.Kind is not (DiskOperationKind.Read or DiskOperationKind.Look) && changes++ == change)
                left = disk.AfterCrash(new SeededRandom(seed), kind);
        };
        world.Open().Dispose();
        disk.BeforeOperation = null;
        return left;
    }

    private static string Text(StoreWorld world) => Encoding.ASCII.GetString(world.Files.ReadAll(Identity));

    private static DurableStore Open(StoreWorld world, IFileSystem files) =>
        DurableStore.Open(files, world.Scheduler, StoreWorld.Folder, new ModelEngineFactory(), StoreWorld.SmallOptions);
}
