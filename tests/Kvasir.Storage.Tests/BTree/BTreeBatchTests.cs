using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Small transactions that share commits, of tasks and of threads, in all the ways in which they can end.</summary>
public sealed class BTreeBatchTests
{
    private static readonly CrashKind[] s_kinds = Enum.GetValues<CrashKind>();

    [Fact]
    public void TasksThatWaitTogetherShareACommitAndASync()
    {
        var world = new BTreeWorld(1);
        using BTreeStore store = world.Open();
        for (int round = 0; round < 3; round++)
        {
            long syncs = world.Files.SyncCount;
            ulong commits = store.GetStatistics().Transaction;
            ValueTask[] tasks = [.. Enumerable.Range(0, 64).Select(i => Put(store, $"{round}:{i}"))];
            Assert.DoesNotContain(tasks, t => t.IsCompleted);
            world.Scheduler.RunAll();
            foreach (ValueTask task in tasks)
                AssertDone(task);
            Assert.Equal(syncs + 1, world.Files.SyncCount);
            Assert.Equal(commits + 1, store.GetStatistics().Transaction);
            Assert.Equal(64 * (round + 1), Keys(store).Count);
        }
    }

    [Fact]
    public void ACommitTakesNoMoreThanItMay()
    {
        var world = new BTreeWorld(2, new BTreeOptions { Identity = 42, MapBytesMin = 1 << 18, BatchMax = 2 });
        using BTreeStore store = world.Open();
        ulong commits = store.GetStatistics().Transaction;
        ValueTask[] tasks = [.. Enumerable.Range(0, 5).Select(i => Put(store, $"{i}"))];
        world.Scheduler.RunAll();
        Array.ForEach(tasks, AssertDone);
        Assert.Equal(commits + 3, store.GetStatistics().Transaction);
    }

    /// <summary>What it would end is everybody's.</summary>
    [Fact]
    public void AnActionThatEndsTheTransactionIsToldSoAndHarmsNobodyElse()
    {
        var world = new BTreeWorld(8);
        using BTreeStore store = world.Open();
        ValueTask before = Put(store, "before");
        ValueTask commits = store.BatchAsync(t =>
        {
            t.Root.Put("commits"u8, "x"u8);
            t.Commit();
        });
        ValueTask disposes = store.BatchAsync(t =>
        {
            t.Root.Put("disposes"u8, "x"u8);
            t.Dispose();
        });
        ValueTask after = Put(store, "after");
        world.Scheduler.RunAll();
        AssertDone(before);
        AssertDone(after);
        Assert.Throws<InvalidOperationException>(() => commits.GetAwaiter().GetResult());
        Assert.Throws<InvalidOperationException>(() => disposes.GetAwaiter().GetResult());
        Assert.Equal(["after", "before"], Keys(store));
    }

    [Fact]
    public void AnActionThatThrowsLeavesTheOthersTheirCommit()
    {
        var world = new BTreeWorld(3);
        using BTreeStore store = world.Open();
        ulong commits = store.GetStatistics().Transaction;
        ValueTask[] tasks = [.. Enumerable.Range(0, 10).Select(i => store.BatchAsync(t =>
        {
            t.Root.Put(BTreeWorld.Key($"{i}"), "x"u8);
            if (i % 4 == 1)
                throw new FormatException($"{i}");
        }))];
        world.Scheduler.RunAll();
        for (int i = 0; i < tasks.Length; i++)
        {
            ValueTask task = tasks[i];
            if (i % 4 == 1)
                Assert.Equal($"{i}", Assert.Throws<FormatException>(() => AssertDone(task)).Message);
            else
                AssertDone(task);
        }

        Assert.Equal(["0", "2", "3", "4", "6", "7", "8"], Keys(store));
        Assert.Equal(commits + 1, store.GetStatistics().Transaction);
    }

    [Fact]
    public void WhatIsCancelledBeforeItsCommitBeginsHasNotHappened()
    {
        var world = new BTreeWorld(4);
        using BTreeStore store = world.Open();
        Assert.True(Put(store, "never", new CancellationToken(canceled: true)).IsCanceled);
        Assert.False(world.Scheduler.HasWaitingJobs);

        using var first = new CancellationTokenSource();
        using var middle = new CancellationTokenSource();
        ValueTask[] tasks = [Put(store, "a", first.Token), Put(store, "b"), Put(store, "c", middle.Token), Put(store, "d"), Put(store, "e", first.Token)];
        middle.Cancel();
        Assert.Equal(middle.Token, Assert.Throws<OperationCanceledException>(() => AssertDone(tasks[2])).CancellationToken);
        first.Cancel();
        Assert.Throws<OperationCanceledException>(() => AssertDone(tasks[0]));
        Assert.Throws<OperationCanceledException>(() => AssertDone(tasks[4]));

        // What served one caller serves the next, and nothing of the one before.
        ValueTask later = Put(store, "f");
        world.Scheduler.RunAll();
        AssertDone(tasks[1]);
        AssertDone(tasks[3]);
        AssertDone(later);
        Assert.Equal(["b", "d", "f"], Keys(store));
    }

    [Fact]
    public void CancellingAllThatWaitsLeavesNothingToCommit()
    {
        var world = new BTreeWorld(5);
        using BTreeStore store = world.Open();
        ulong commits = store.GetStatistics().Transaction;
        using var source = new CancellationTokenSource();
        ValueTask task = Put(store, "a", source.Token);
        source.Cancel();
        world.Scheduler.RunAll();
        Assert.Throws<OperationCanceledException>(() => AssertDone(task));
        Assert.Equal(commits, store.GetStatistics().Transaction);
        ValueTask next = Put(store, "b");
        world.Scheduler.RunAll();
        AssertDone(next);
        Assert.Equal(["b"], Keys(store));
    }

    [Fact]
    public void CancellingWhatACommitHasTakenDoesNothing()
    {
        var world = new BTreeWorld(6);
        using BTreeStore store = world.Open();
        using var source = new CancellationTokenSource();
        ValueTask first = store.BatchAsync(_ => source.Cancel());
        ValueTask second = Put(store, "a", source.Token);
        world.Scheduler.RunAll();
        AssertDone(first);
        AssertDone(second);
        Assert.Equal(["a"], Keys(store));
    }

    [Fact]
    public void AStoreThatIsClosedTellsThoseWhoWait()
    {
        var world = new BTreeWorld(7);
        BTreeStore store = world.Open();
        AssertDoneAfter(world, Put(store, "a"));
        ValueTask[] tasks = [.. Enumerable.Range(0, 5).Select(i => Put(store, $"late {i}"))];
        store.Dispose();
        world.Scheduler.RunAll();
        foreach (ValueTask task in tasks)
            Assert.Throws<ObjectDisposedException>(() => AssertDone(task));
        ValueTask after = Put(store, "after");
        Assert.False(world.Scheduler.HasWaitingJobs, "the scheduler may have ended with the store");
        Assert.Throws<ObjectDisposedException>(() => AssertDone(after));
        Assert.Throws<ObjectDisposedException>(() => store.Batch(_ => { }));
        using BTreeStore again = world.Open();
        Assert.Equal(["a"], Keys(again));
    }

    [Fact]
    public void AFailedCommitIsToldToEverybodyInIt()
    {
        var world = new BTreeWorld(8);
        using BTreeStore store = world.Open();
        AssertDoneAfter(world, Put(store, "a"));
        world.Files.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Write) { Times = 1 });
        ValueTask[] tasks = [.. Enumerable.Range(0, 5).Select(i => Put(store, $"full {i}"))];
        world.Scheduler.RunAll();
        foreach (ValueTask task in tasks)
            Assert.Throws<DiskFullException>(() => AssertDone(task));
        Assert.Equal(["a"], Keys(store));
        AssertDoneAfter(world, Put(store, "b"));

        world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync) { Times = 1 });
        tasks = [.. Enumerable.Range(0, 5).Select(i => Put(store, $"unknown {i}"))];
        ValueTask thrower = store.BatchAsync(_ => throw new FormatException());
        world.Scheduler.RunAll();
        foreach (ValueTask task in tasks)
            Assert.Throws<WritesStoppedException>(() => AssertDone(task));
        Assert.Throws<FormatException>(() => AssertDone(thrower));
        ValueTask next = Put(store, "c");
        world.Scheduler.RunAll();
        Assert.Throws<WritesStoppedException>(() => AssertDone(next));
        Assert.Equal(["a", "b"], Keys(store));
    }

    [Fact]
    public void ATaskIsLookedAtOnceAndNotBeforeItsEnd()
    {
        var world = new BTreeWorld(9);
        using BTreeStore store = world.Open();
        ValueTask task = Put(store, "a");
        Assert.Throws<InvalidOperationException>(() => task.GetAwaiter().GetResult());
        world.Scheduler.RunAll();
        AssertDone(task);
        Assert.Throws<InvalidOperationException>(() => task.GetAwaiter().GetResult());
        AssertDoneAfter(world, Put(store, "b"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void ACrashAtAnyOperationLosesNothingThatWasToldAndShowsNoHalfOfACommit(ulong seed)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, new BTreeOptions { Identity = 7, MapBytesMin = 1 << 18, BackgroundUpkeep = false, BatchMax = 8 });
        List<(string Key, ValueTask Task, bool Throws)> waiting = [];
        SortedSet<string> told = new(StringComparer.Ordinal);
        int points = 0;
        BTreeStore store = world.Open();
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Map)
                return;
            foreach ((string key, ValueTask task, bool throws) in waiting)
            {
                if (task.IsCompletedSuccessfully && !throws)
                    told.Add(key);
            }

            foreach (CrashKind kind in s_kinds)
            {
                points++;
                using BTreeStore left = new BTreeWorld(1, world.Options, world.Files.AfterCrash(new SeededRandom((seed << 32) + (ulong)points), kind)).Open();
                SortedSet<string> found = new(Keys(left), StringComparer.Ordinal);
                Assert.True(told.IsSubsetOf(found), $"{operation}, {kind}: what was told is lost");
                string[] more = [.. found.Except(told)];

                // All of the commit that was under way, in the order in which its callers came, or nothing of it.
                string[] next = [.. waiting.Where(w => !w.Task.IsCompleted).Take(8).Where(w => !w.Throws).Select(w => w.Key)];
                Assert.True(more.Length == 0 || more.Order().SequenceEqual(next.Order()), $"{operation}, {kind}: {string.Join(' ', more)} of {string.Join(' ', next)}");
            }
        };

        for (int round = 0; round < 20; round++)
        {
            for (int i = random.Next(20); i >= 0; i--)
            {
                string key = $"{round:D2}:{i:D2}";
                bool throws = random.OneIn(5);
                waiting.Add((key, store.BatchAsync(t =>
                {
                    t.Root.Put(BTreeWorld.Key(key), new byte[random.Next(10) == 0 ? 3000 : 100]);
                    if (throws)
                        throw new FormatException();
                }), throws));
            }

            world.Scheduler.RunAll();
            foreach ((string key, ValueTask task, bool throws) in waiting)
            {
                if (throws)
                {
                    Assert.Throws<FormatException>(() => AssertDone(task));
                    continue;
                }

                AssertDone(task);
                told.Add(key);
            }

            waiting.Clear();
        }

        world.Files.BeforeOperation = null;
        Assert.Equal(told, Keys(store));
        store.Dispose();
        BTreeWorld.AssertSound(world.Files);
        Assert.True(points > 500, $"only {points} crash points");
    }

    private static ValueTask Put(BTreeStore store, string key, CancellationToken cancellation = default) =>
        store.BatchAsync(t => t.Root.Put(BTreeWorld.Key(key), "x"u8), cancellation);

    private static void AssertDone(ValueTask task)
    {
        Assert.True(task.IsCompleted);
        task.GetAwaiter().GetResult();
    }

    private static void AssertDoneAfter(BTreeWorld world, ValueTask task)
    {
        world.Scheduler.RunAll();
        AssertDone(task);
    }

    private static List<string> Keys(BTreeStore store)
    {
        using ReadTransaction reader = store.BeginRead();
        return [.. BTreeWorld.ReadAll(reader.Root).Select(e => System.Text.Encoding.UTF8.GetString(e.Key))];
    }
}
