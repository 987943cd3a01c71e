using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>What a journal does on a disk that is full, or fails.</summary>
public sealed class JournalFailureTests
{
    [Theory]
    [InlineData(DiskFault.Failed)]
    [InlineData(DiskFault.Full)]
    public void ASyncInTheBackgroundThatFailsIsFinalWhateverTheReason(DiskFault fault)
    {
        var world = new JournalWorld(8);
        JournalWriter journal = world.Open(options: new JournalOptions());
        LogPosition position = JournalWorld.Append(journal, "unsure");
        world.Files.Faults.Add(new FaultRule(fault, DiskOperationKind.Sync) { Times = 1 });
        journal.RequestCommit(sync: true);
        world.Scheduler.RunAll();
        Assert.Equal(JournalFailure.DiskFailed, journal.Failure);
        Assert.True(journal.DurablePosition < position);
        Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(position));
        Assert.Throws<WritesStoppedException>(() => JournalWorld.Append(journal, "more"));
        journal.Dispose();
    }

    [Fact]
    public void AFullDiskIsADefiniteFailureAndResumesWhenThereIsSpaceAgain()
    {
        var world = new JournalWorld(10);
        var listener = new RecordingListener();
        JournalWriter journal = world.Open();
        journal.Listener = listener;
        world.Files.CapacityBytes = 30 << 10;
        LogPosition durable = default;
        LogPosition lost = default;
        List<string> acknowledged = [];
        for (int i = 0; ; i++)
        {
            string payload = $"{i}:" + new string('f', 200);
            lost = JournalWorld.Append(journal, payload);
            try
            {
                journal.WaitDurable(lost);
            }
            catch (WritesStoppedException)
            {
                break;
            }

            durable = lost;
            acknowledged.Add(payload);
        }

        Assert.Equal(JournalFailure.DiskFull, journal.Failure);
        Assert.Equal([(JournalFailure.DiskFull, durable)], listener.Failures);
        Assert.Throws<WritesStoppedException>(() => JournalWorld.Append(journal, "refused"));
        Assert.False(journal.TryResume());

        world.Files.CapacityBytes = long.MaxValue;
        Assert.True(journal.TryResume());
        Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
        journal.WaitDurable(JournalWorld.Append(journal, "resumed"));
        Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
        acknowledged.Add("resumed");

        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open())
            Assert.Equal(acknowledged, world.Replayed.Select(record => record.Payload));
    }

    [Fact]
    public void ADiskThatRefusesAWriteWholeIsFullAndOneThatTookAPartOfItHasFailed()
    {
        var seen = new SortedSet<JournalFailure>();
        for (ulong seed = 1; seed <= 400; seed++)
        {
            var world = new JournalWorld(seed);
            var listener = new RecordingListener();
            JournalWriter journal = world.Open();
            journal.Listener = listener;
            journal.WaitDurable(JournalWorld.Append(journal, "durable"));

            // Written and not synced when the disk is found full: it is not among what is dropped.
            LogPosition written = JournalWorld.Append(journal, "w");
            journal.Commit(sync: false);
            LogPosition lost = JournalWorld.Append(journal, "l");
            world.Files.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Write) { Times = 1 });
            Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
            JournalFailure failure = journal.Failure;
            seen.Add(failure);
            if (failure == JournalFailure.DiskFailed)
            {
                Assert.False(journal.TryResume());
                continue;
            }

            Assert.Equal([(JournalFailure.DiskFull, written)], listener.Failures);
            if (seed % 2 == 0)
            {
                Assert.True(journal.TryResume());
                journal.WaitDurable(JournalWorld.Append(journal, "resumed"));
                Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
            }

            world.Crash(CrashKind.LoseUnsynced);
            using (world.Open())
                Assert.Equal(seed % 2 == 0 ? ["durable", "w", "resumed"] : ["durable", "w"], world.Replayed.Select(record => record.Payload));
        }

        Assert.Equal([JournalFailure.DiskFull, JournalFailure.DiskFailed], seen);
    }

    [Fact]
    public void OnAFullDiskItOpensWithoutASegmentForMoreAndLeavesTheEndOfTheLastAlone()
    {
        JournalOptions options = JournalWorld.SmallOptions with { OpensOnFullDisk = true };
        CrashKind[] kinds = Enum.GetValues<CrashKind>();
        for (ulong seed = 1; seed <= 300; seed++)
        {
            var world = new JournalWorld(seed);
            JournalWriter journal = world.Open(options: options);
            LogPosition position = default;
            for (int i = 0; i < world.Random.Next(8); i++)
                journal.WaitDurable(position = JournalWorld.Append(journal, $"durable {i}" + new string('d', world.Random.Next(3000))));
            for (int i = 0; i < world.Random.Next(4); i++)
            {
                JournalWorld.Append(journal, $"torn {i}" + new string('t', world.Random.Next(3000)));
                journal.Commit(sync: false);
            }

            world.Crash(kinds[seed % (ulong)kinds.Length]);
            List<string>? found = null;
            byte[]? segment = null;
            for (int life = 0; life < 2; life++)
            {
                world.Files.CapacityBytes = long.MaxValue;
                world.Files.CapacityBytes -= world.Files.FreeBytes(JournalWorld.Folder);
                Assert.Throws<DiskFullException>(() => world.Open());
                journal = world.Open(options: options);
                string last = world.Files.Paths.Last(path => path.EndsWith(".segment", StringComparison.Ordinal));
                Assert.Equal(JournalFailure.DiskFull, journal.Failure);
                found ??= [.. world.Replayed.Select(record => record.Payload)];
                segment ??= world.Files.ReadAll(last);
                Assert.Equal(found, world.Replayed.Select(record => record.Payload));
                Assert.Throws<WritesStoppedException>(() => JournalWorld.Append(journal, "refused"));
                Assert.False(journal.TryResume());
                journal.TrimBefore(new LogPosition(journal.DurablePosition.Value + 1));
                world.Scheduler.RunAll();
                if (life == 0)
                    journal.Dispose();
                Assert.Equal(segment, world.Files.ReadAll(last));
                if (life == 0)
                    world.Crash(CrashKind.LoseUnsynced);
            }

            world.Files.CapacityBytes = long.MaxValue;
            Assert.True(journal.TryResume());
            Assert.True(JournalWorld.Append(journal, "resumed") > position);
            journal.WaitDurable(journal.AppendedPosition);
            world.Crash(CrashKind.LoseUnsynced);
            using (world.Open())
                Assert.Equal([.. found!, "resumed"], world.Replayed.Select(record => record.Payload));
        }
    }

    [Fact]
    public void TrimmingMakesRoomOnAFullDisk()
    {
        var world = new JournalWorld(11);
        JournalWriter journal = world.Open();
        world.Files.CapacityBytes = 40 << 10;
        LogPosition position = default;
        try
        {
            while (true)
                journal.WaitDurable(position = JournalWorld.Append(journal, new string('t', 300)));
        }
        catch (WritesStoppedException)
        {
            Assert.Equal(JournalFailure.DiskFull, journal.Failure);
        }

        journal.TrimBefore(position);
        Assert.True(journal.TryResume());
        journal.WaitDurable(JournalWorld.Append(journal, "goes on"));
    }

    [Theory]
    [InlineData(DiskOperationKind.Sync)]
    [InlineData(DiskOperationKind.Write)]
    public void AFailedWriteOrSyncIsFinal(DiskOperationKind kind)
    {
        var world = new JournalWorld(12);
        var listener = new RecordingListener();
        JournalWriter journal = world.Open();
        journal.Listener = listener;
        LogPosition durable = JournalWorld.Append(journal, "durable");
        journal.WaitDurable(durable);
        world.Files.Faults.Add(new FaultRule(DiskFault.Failed, kind) { Times = 1 });
        LogPosition lost = JournalWorld.Append(journal, "uncertain");
        WritesStoppedException thrown = Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
        Assert.Contains("Input/output error", thrown.Message, StringComparison.Ordinal);
        Assert.Equal([(JournalFailure.DiskFailed, durable)], listener.Failures);
        long operations = world.Files.OperationCount;
        Assert.False(journal.TryResume());
        Assert.Throws<WritesStoppedException>(() => journal.Commit(sync: true));
        Assert.Throws<WritesStoppedException>(() => journal.WaitDurable(lost));
        journal.WaitDurable(durable);
        journal.Dispose();
        Assert.Equal(operations, world.Files.OperationCount);
    }
}
