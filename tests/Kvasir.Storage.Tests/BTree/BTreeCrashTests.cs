using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Crashes and failures at every disk operation of a workload, with every kind of loss.</summary>
public sealed class BTreeCrashTests
{
    private static readonly CrashKind[] s_kinds = Enum.GetValues<CrashKind>();

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, false)]
    [InlineData(4, true)]
    public void ACrashAtAnyOperationLeavesTheLastCommitOrTheNext(ulong seed, bool useMap)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, Options(useMap));
        var run = new Run(new BTreeModel(random, largeValues: seed == 4)) { WritesMuch = true };
        int points = 0;
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Map)
                return;
            foreach (CrashKind kind in s_kinds)
            {
                points++;
                var left = world.Files.AfterCrash(new SeededRandom((seed << 32) + (ulong)points), kind);
                AssertRecovers(left, run, world.Options, $"seed {seed}, {operation}, {kind}");
            }
        };

        for (int life = 0; life < 4; life++)
        {
            BTreeStore store = world.Open();
            run.HasFile = true;
            for (int round = 0; round < 14; round++)
                Commit(store, run, random);
            for (int i = 0; i < 3; i++)
                store.ShrinkStep(20);
            store.Dispose();
        }

        Assert.True(points > 1500, $"only {points} crash points");
    }

    [Theory]
    [InlineData(11, DiskFault.Failed)]
    [InlineData(12, DiskFault.Full)]
    [InlineData(13, DiskFault.Failed)]
    [InlineData(14, DiskFault.Full)]
    public void AFailureAtAnyOperationIsToldAndHarmsNothing(ulong seed, DiskFault fault)
    {
        int failed = 0;
        for (int skip = 0; skip < 120; skip++)
        {
            var random = new SeededRandom(seed);
            var world = new BTreeWorld(seed + (ulong)skip, Options(useMap: seed % 2 == 0));
            var run = new Run(new BTreeModel(random, largeValues: false));
            BTreeStore store = world.Open();
            world.Files.Faults.Add(new FaultRule(fault) { Skip = skip, Times = 1 });
            bool hasStopped = false;
            for (int round = 0; round < 12; round++)
            {
                try
                {
                    Commit(store, run, random);
                    Assert.False(hasStopped);
                }
                catch (WritesStoppedException)
                {
                    hasStopped = true;
                    failed++;
                }
                catch (DiskFailedException)
                {
                    // Definite: it has not happened.
                    Assert.False(hasStopped);
                    run.Next = null;
                    failed++;
                }

                if (!hasStopped || round == 11)
                {
                    using ReadTransaction now = store.BeginRead();
                    try
                    {
                        run.Last.AssertSame(now.Root);
                    }
                    catch (DiskFailedException)
                    {
                        // It was a read that failed, and the next one does not.
                        run.Last.AssertSame(now.Root);
                    }
                }
            }

            store.Dispose();
            foreach (CrashKind kind in s_kinds)
                AssertRecovers(world.Files.AfterCrash(new SeededRandom(seed + (ulong)skip), kind), run, world.Options, $"seed {seed}, skip {skip}, {kind}");
        }

        Assert.True(failed > 60, $"only {failed} failures were told");
    }

    /// <summary>
    /// The system may mark pages clean that a failed sync has not written: the next process sees them, and no later sync writes them. Nothing may be
    /// built on them that a loss of power then takes away.
    /// </summary>
    [Theory]
    [InlineData(31, true, false)]
    [InlineData(32, false, false)]
    [InlineData(33, true, true)]
    [InlineData(34, false, true)]
    public void WhatOnlyTheSystemsCacheHasAfterAFailedSyncIsNotBuiltUpon(ulong seed, bool useMap, bool resumes)
    {
        int stopped = 0, found = 0;
        for (int skip = 0; skip < 64; skip++)
        {
            var random = new SeededRandom(seed);
            var world = new BTreeWorld(seed + (ulong)skip, Options(useMap));
            var run = new Run(new BTreeModel(random, largeValues: false)) { WritesMuch = true };
            BTreeStore store = world.Open();
            run.HasFile = true;
            world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync) { Skip = skip % 16, Times = 1 });
            for (int round = 0; round < 12 && store.StopReason is null; round++)
            {
                try
                {
                    Commit(store, run, random);
                }
                catch (WritesStoppedException)
                {
                    stopped++;
                }
            }

            // With as many syncs as there are it is the one of the seal that fails.
            if (resumes)
            {
                world.Files.Faults.Clear();
                Assert.True(store.TryResume());
                Assert.Null(store.StopReason);
                run.Next = null;
            }
            else
            {
                store.Dispose();
                world.Files.Faults.Clear();
                store = world.Open();
            }

            using (ReadTransaction now = store.BeginRead())
            {
                if (run.Next is { } next && now.UserData.Length == 4 && BitConverter.ToInt32(now.UserData) == next.Round)
                {
                    run.Last = next;
                    found++;
                }

                run.Next = null;
                run.Last.AssertSame(now.Root);
            }

            string when = $"seed {seed}, skip {skip}";
            world.Files.BeforeOperation = operation =>
            {
                if (operation.Kind is not (DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Map))
                    AssertRecovers(world.Files.AfterCrash(new SeededRandom(seed + (ulong)operation.Number), CrashKind.LoseUnsynced), run, world.Options, $"{when}, {operation}");
            };
            for (int round = 0; round < 3; round++)
                Commit(store, run, random);
            store.Dispose();
            world.Files.BeforeOperation = null;
            AssertRecovers(world.Files.AfterCrash(new SeededRandom(seed), CrashKind.LoseUnsynced), run, world.Options, when);
        }

        Assert.True(stopped > 30 && (resumes || found > 15), $"{stopped} were stopped, and {found} times the last commit was there");
    }

    [Fact]
    public void AFlippedBitInAnyPageIsFoundAndNeverServed()
    {
        var random = new SeededRandom(21);
        var world = new BTreeWorld(21, Options(useMap: true));
        var run = new Run(new BTreeModel(random, largeValues: false));
        BTreeStore store = world.Open();
        for (int round = 0; round < 10; round++)
            Commit(store, run, random);
        store.Dispose();
        long length = world.Files.ReadAll(BTreeWorld.File).Length;
        int refused = 0;
        for (long offset = random.Next(60); offset < length; offset += 1 + random.Next((int)(length / 300)))
        {
            SimulatedFileSystem damaged = world.Files.Clone();
            damaged.FlipBit(BTreeWorld.File, offset, random.Next(8));
            bool isSound = Storage.BTree.Checking.BTreeVerifier.Verify(damaged, BTreeWorld.File).Count == 0;
            try
            {
                using BTreeStore reopened = new BTreeWorld(22, Options(offset % 2 == 0), damaged).Open();
                using ReadTransaction now = reopened.BeginRead();
                run.Last.AssertSame(now.Root);
            }
            catch (CorruptionException exception)
            {
                refused++;
                Assert.Equal(BTreeWorld.File, exception.Path);
                Assert.False(isSound, $"offset {offset} is refused, and the checker finds nothing");
            }
        }

        Assert.True(refused > 30, $"only {refused} were refused");
    }

    private static BTreeOptions Options(bool useMap) =>
        new() { Identity = 7, MapBytesMin = 1 << 18, CachedPages = 32, UseMap = useMap, BackgroundUpkeep = false };

    private static void Commit(BTreeStore store, Run run, SeededRandom random)
    {
        using WriteTransaction transaction = store.BeginWrite();
        BTreeModel attempt = run.Last.Clone();
        int steps = random.OneIn(6) ? random.Next(200) : random.Next(12);
        for (int i = 0; i < steps; i++)
            attempt.Step(transaction.Root);

        // Once more pages than a meta page lists; the states that are compared stay small all the same.
        if (run.WritesMuch && attempt.Round == 9)
            attempt.PutMany(transaction.Root, 310, 2100);
        if (run.WritesMuch && attempt.Round == 10)
            attempt.DeleteAll(transaction.Root);
        attempt.Round++;
        transaction.UserData = BitConverter.GetBytes(attempt.Round);
        run.Next = attempt;
        transaction.Commit();
        run.Last = attempt;
        run.Next = null;
    }

    private static void AssertRecovers(SimulatedFileSystem files, Run run, BTreeOptions options, string when)
    {
        try
        {
            if (!files.FileExists(BTreeWorld.File))
            {
                Assert.False(run.HasFile && run.Last.Round > 0, "the file is gone");
                return;
            }

            // It opens and is read on a disk that is full to the last byte, too.
            files.CapacityBytes = long.MaxValue - files.FreeBytes("/db");
            using BTreeStore store = new BTreeWorld(1, options, files).Open();
            using (ReadTransaction now = store.BeginRead())
            {
                BTreeModel expected = run.Last;
                if (run.Next is not null && now.UserData.Length == 4 && BitConverter.ToInt32(now.UserData) == run.Next.Round)
                    expected = run.Next;
                BTreeModelTests.AssertEqual(expected.Entries(), BTreeWorld.ReadAll(now.Root));
            }

            BTreeWorld.AssertSound(files, when);
            files.CapacityBytes = long.MaxValue;
            using (WriteTransaction next = store.BeginWrite())
            {
                next.Root.Put("after the crash"u8, "still works"u8);
                next.Commit();
            }

            BTreeWorld.AssertSound(files, when);
        }
        catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
        {
            throw new InvalidOperationException(when, exception);
        }
        catch (Xunit.Sdk.XunitException exception)
        {
            throw new Xunit.Sdk.XunitException($"{when}: {exception.Message}", exception);
        }
    }

    private sealed class Run(BTreeModel model)
    {
        public BTreeModel Last { get; set; } = model;

        public BTreeModel? Next { get; set; }

        public bool HasFile { get; set; }

        public bool WritesMuch { get; init; }
    }
}
