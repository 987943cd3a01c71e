using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Scheduling;
using Kvasir.Storage.Tests.Conformance;

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

    /// <summary>Tells of the moment before a thread is blocked.</summary>
    private sealed class WatchedScheduler(IScheduler inner) : IScheduler
    {
        public int Waits { get; set; }

        public Action? WaitBegins { get; set; }

        public TimeProvider Time => inner.Time;

        public bool HasWaitingJobs => inner.HasWaitingJobs;

        public void Schedule(IBackgroundJob job, JobPriority priority) => inner.Schedule(job, priority);

        public IWaitPoint CreateWaitPoint() => new WatchedPoint(this, inner.CreateWaitPoint());

        public void Yield() => inner.Yield();

        public void Pause(TimeSpan time) => inner.Pause(time);

        private sealed class WatchedPoint(WatchedScheduler owner, IWaitPoint inner) : IWaitPoint
        {
            public void WaitUntil(Func<bool> condition)
            {
                if (owner.Waits == Environment.CurrentManagedThreadId && !condition())
                    owner.WaitBegins?.Invoke();
                inner.WaitUntil(condition);
            }

            public void Pulse() => inner.Pulse();
        }
    }
}
