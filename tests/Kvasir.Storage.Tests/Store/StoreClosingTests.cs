using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;
using Kvasir.Storage.Tests.Scheduling;

namespace Kvasir.Storage.Tests.Store;

public sealed class StoreClosingTests
{
    /// <summary>A job that is scheduled after the end is a defect, and on the thread of a timer the end of the process.</summary>
    [Fact]
    public void ATimerThatIsAskingForASyncIsWaitedFor()
    {
        using var asks = new ManualResetEventSlim();
        using var goesOn = new ManualResetEventSlim();
        var clock = new OneTimerClock();
        Exception? failure = null;
        Thread? timer = null;
        using (var threads = new ThreadScheduler(clock))
        {
            var scheduler = new WatchedScheduler(threads);
            DurableStore store = DurableStore.Open(
                new SimulatedFileSystem(new SeededRandom(1)), scheduler, StoreWorld.Folder, new ModelEngineFactory(), StoreWorld.SmallOptions);
            StoreWorld.Put(store, "k", "v", WriteDurability.Interval);
            scheduler.BeforeSchedule = _ =>
            {
                if (Thread.CurrentThread != timer)
                    return;
                asks.Set();
                goesOn.Wait();
            };
            timer = new Thread(() => failure = Record.Exception(clock.Fire));
            timer.Start();
            asks.Wait();

            // It goes on when whoever closes waits for it, or has not waited.
            scheduler.Waits = Environment.CurrentManagedThreadId;
            scheduler.WaitBegins = goesOn.Set;
            store.Dispose();
        }

        goesOn.Set();
        timer.Join();
        Assert.Null(failure);
    }

    /// <summary>Whose timers run when somebody says so.</summary>
    private sealed class OneTimerClock : TimeProvider
    {
        private Action? _callback;

        public void Fire() => _callback!();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer();
            timer.Changed = () => _callback = () => callback(state);
            return timer;
        }

        private sealed class Timer : ITimer
        {
            public Action? Changed { get; set; }

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                Changed?.Invoke();
                return true;
            }

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
