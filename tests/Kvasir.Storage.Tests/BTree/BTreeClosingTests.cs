using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Tests.Conformance;
using Kvasir.Storage.Tests.Scheduling;

namespace Kvasir.Storage.Tests.BTree;

public sealed class BTreeClosingTests
{
    /// <summary>Whoever closes a store may remove its files, or open them anew, at once.</summary>
    [Fact]
    public void AStoreThatIsClosedDuringAStepOfItsUpkeepHasLetGoOfItsFile()
    {
        var disk = new ObservedFileSystem(new SimulatedFileSystem(new SeededRandom(1)));
        disk.CreateFolder("/db");
        using var threads = new ThreadScheduler(TimeProvider.System);
        using var upkeepWrites = new ManualResetEventSlim();
        using var goesOn = new ManualResetEventSlim();
        var scheduler = new WatchedScheduler(threads);
        BTreeStore store = BTreeStore.Open(disk, BTreeWorld.File, scheduler, new BTreeOptions { Identity = 7, UseMap = false });
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 5000; i++)
                transaction.Root.GetOrCreateBucket("goes"u8).Put(BTreeWorld.Key($"{i}"), new byte[100]);
            transaction.Commit();
        }

        int caller = Environment.CurrentManagedThreadId;
        disk.BeforeChange = (_, _) =>
        {
            if (Environment.CurrentManagedThreadId == caller || goesOn.IsSet)
                return;
            upkeepWrites.Set();
            goesOn.Wait();
        };
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.DeleteBucket("goes"u8);
            transaction.Commit();
        }

        upkeepWrites.Wait();

        // The step goes on when whoever closes waits for it, or has not waited.
        scheduler.Waits = caller;
        scheduler.WaitBegins = goesOn.Set;
        store.Dispose();
        Exception? inUse = Record.Exception(() => disk.Lock(BTreeStore.LockPath(BTreeWorld.File)).Dispose());
        goesOn.Set();
        Assert.Null(inUse);
    }

    [Fact]
    public void ACopyOfAStoreThatIsClosedMeanwhileLeavesNothing()
    {
        var files = new SimulatedFileSystem(new SeededRandom(2));
        var world = new BTreeWorld(2, options: null, files);
        files.CreateFolder("/db");
        BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 1000; i++)
                transaction.Root.Put(BTreeWorld.Key($"{i}"), new byte[100]);
            transaction.Commit();
        }

        string[] before = [.. files.Paths];
        var disk = new ObservedFileSystem(files) { BeforeChange = (_, _) => store.Dispose() };
        Assert.Throws<ObjectDisposedException>(() => store.Copy(disk, "/db/copy"));
        Assert.Equal(before, files.Paths);
        Assert.Equal(0, disk.OpenFiles);
    }
}
