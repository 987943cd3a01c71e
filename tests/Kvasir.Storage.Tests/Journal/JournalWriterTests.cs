using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

public sealed class JournalWriterTests
{
    [Fact]
    public void WhatWasCommittedIsReplayedInOrderAfterAnOrderlyClose()
    {
        var world = new JournalWorld(1);
        List<(LogPosition, string)> written = [];
        using (JournalWriter journal = world.Open())
        {
            for (int i = 0; i < 1000; i++)
            {
                string payload = $"record {i} " + new string('x', i % 97);
                written.Add((JournalWorld.Append(journal, payload), payload));
                if (i % 7 == 0)
                    journal.WaitDurable(written[^1].Item1);
            }
        }

        using (world.Open())
            Assert.Equal(written, world.Replayed);
        using (world.Open(replayAfter: written[499].Item1))
            Assert.Equal(written[500..], world.Replayed);
        Assert.Empty(JournalVerifier.Verify(world.Files, JournalWorld.Folder));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhoWaitsForTheProcessorHasTheSameSync(bool sync)
    {
        var world = new JournalWorld(1);
        var scheduler = new Lsm.InlineScheduler();
        using JournalWriter journal = JournalWriter.Open(world.Files, scheduler, "/busy", new JournalOptions(), LogPosition.Zero, (_, _) => { });
        long before = journal.Statistics.Syncs;
        int late = 0;
        scheduler.OnYield = () =>
        {
            if (++late <= 2)
                journal.Append("late"u8);
        };
        journal.Append("early"u8);
        journal.RequestCommit(sync);
        scheduler.RunAll();
        Assert.Equal(sync ? (3, 1) : (0, 0), (late, journal.Statistics.Syncs - before));
        Assert.Equal(sync, journal.DurablePosition == journal.AppendedPosition);

        // One who never rests is not waited for.
        scheduler.OnYield = () => journal.Append("again"u8);
        journal.RequestCommit(sync);
        scheduler.RunAll();
        scheduler.OnYield = null;
    }

    [Fact]
    public void ASegmentThatIsAlmostFullSurvivesAnyNumberOfOrderlyCloses()
    {
        // 8 KiB with a header of 4: payloads that end some bytes before the end, within it, or beyond.
        for (int bytes = 3850; bytes < 4100; bytes += 3)
        {
            var world = new JournalWorld(2);
            using (JournalWriter journal = world.Open())
                JournalWorld.Append(journal, new string('x', bytes));
            for (int i = 0; i < 6; i++)
            {
                using JournalWriter journal = world.Open();
                Assert.Single(world.Replayed);
                journal.Commit(sync: true);
            }

            Assert.Empty(JournalVerifier.Verify(world.Files, JournalWorld.Folder));
        }
    }

    [Fact]
    public void WhatAStartReadsWrongOnceIsNotWrittenBack()
    {
        for (int skip = 0; skip < 20; skip++)
        {
            var world = new JournalWorld(2);
            JournalWriter journal = world.Open();
            for (int i = 0; i < 5; i++)
            {
                JournalWorld.Append(journal, $"{i}");
                journal.Commit(sync: true);
            }

            world.Crash(CrashKind.LoseUnsynced);
            world.Files.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read) { Skip = skip, Times = 1 });
            try
            {
                world.Open().Dispose();
            }
            catch (CorruptionException)
            {
                // Better than to believe it.
            }

            world.Files.Faults.Clear();
            world.Crash(CrashKind.LoseUnsynced);
            using (world.Open())
                Assert.Equal(["0", "1", "2", "3", "4"], world.Replayed.Select(r => r.Payload));
        }
    }

    /// <summary>
    /// A group whose mark was lost with the power: nothing but a second look tells a misread record in it from a torn tail.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void WhatAStartReadsWrongOnceIsNotTakenForATornTail(int times)
    {
        int refused = 0;
        for (ulong seed = 0; seed < 300; seed++)
        {
            var world = new JournalWorld(seed);
            JournalWriter journal = world.Open();
            for (int i = 0; i < 5; i++)
                JournalWorld.Append(journal, new string((char)('a' + i), 1000));
            journal.Commit(sync: true);
            world.Crash(CrashKind.LoseUnsynced);
            world.Files.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read) { Skip = (int)(seed % 10), Times = times });
            try
            {
                using (world.Open())
                    Assert.True(world.Replayed.Count == 5, $"seed {seed}: {world.Replayed.Count} of 5 records");
            }
            catch (CorruptionException)
            {
                refused++;
            }
        }

        Assert.True(refused > 10, $"{refused} refused");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ALastSegmentThatIsMissingStopsTheStart(bool closed)
    {
        var world = new JournalWorld(2);
        JournalWriter journal = world.Open();
        for (int i = 0; i < 40; i++)
        {
            JournalWorld.Append(journal, new string('x', 1000));
            journal.Commit(sync: true);
        }

        if (closed)
            journal.Dispose();
        string last = world.Files.Paths.Last(path => path.EndsWith(".segment", StringComparison.Ordinal));
        world.Files.Delete(last);
        Assert.Equal(last, Assert.Throws<FileMissingException>(() => world.Open()).Path);
        Assert.NotEmpty(JournalVerifier.Verify(world.Files, JournalWorld.Folder));
    }

    [Fact]
    public void ASegmentThatIsMissingBehindATornOneStopsTheStart()
    {
        var world = new JournalWorld(2);
        JournalWriter journal = world.Open();
        JournalWorld.Append(journal, "kept");
        journal.Commit(sync: true);
        world.Crash(CrashKind.ProcessKill);
        world.Open().Dispose();
        string[] segments = [.. world.Files.Paths.Where(path => path.EndsWith(".segment", StringComparison.Ordinal))];
        Assert.Equal(2, segments.Length);
        world.Files.Delete(segments[^1]);
        Assert.Equal(segments[^1], Assert.Throws<FileMissingException>(() => world.Open()).Path);
    }

    [Fact]
    public void ASegmentOfAnotherLengthThanItWasMadeWithStopsTheStart()
    {
        var world = new JournalWorld(2);
        using (JournalWriter journal = world.Open())
            JournalWorld.Append(journal, "kvasir");
        string path = Assert.Single(world.Files.Paths, p => p.EndsWith(".segment", StringComparison.Ordinal));
        byte[] whole = world.Files.ReadAll(path);
        foreach (int length in new[] { 0, 100, 4095, 4096, 4110, 4140, whole.Length - 1, whole.Length + 1 })
        {
            byte[] other = new byte[length];
            whole.AsSpan(0, Math.Min(length, whole.Length)).CopyTo(other);
            world.Files.WriteAll(path, other);
            Assert.Equal(path, Assert.Throws<CorruptionException>(() => world.Open()).Path);
            Assert.NotEmpty(JournalVerifier.Verify(world.Files, JournalWorld.Folder));
        }
    }

    [Fact]
    public void AnOrderlyCloseIsContinuedInTheSameSegment()
    {
        var world = new JournalWorld(2);
        for (int i = 0; i < 10; i++)
        {
            using JournalWriter journal = world.Open();
            Assert.Equal(i, world.Replayed.Count);
            JournalWorld.Append(journal, $"{i}");
        }

        Assert.Single(world.Files.Paths, path => path.EndsWith(".segment", StringComparison.Ordinal));
    }

    [Fact]
    public void ADurableCommitCostsOneWriteOneSyncAndOneSmallMark()
    {
        var world = new JournalWorld(3);
        using JournalWriter journal = world.Open();
        JournalWorld.Append(journal, "warm");
        journal.Commit(sync: true);

        List<(DiskOperationKind, int)> operations = [];
        world.Files.BeforeOperation = operation => operations.Add((operation.Kind, operation.Length));
        LogPosition position = JournalWorld.Append(journal, new string('v', 100));
        journal.WaitDurable(position);
        world.Files.BeforeOperation = null;

        Assert.Equal(
            [(DiskOperationKind.Write, 25 + 9 + 100), (DiskOperationKind.Sync, 0), (DiskOperationKind.Write, 25)],
            operations);
        Assert.Equal(position, journal.DurablePosition);
    }

    [Fact]
    public void AllThatWaitShareOneSync()
    {
        var world = new JournalWorld(4);
        using JournalWriter journal = world.Open();
        long before = world.Files.SyncCount;
        List<LogPosition> waiting = [];
        for (int i = 0; i < 100; i++)
            waiting.Add(JournalWorld.Append(journal, $"{i}"));
        foreach (LogPosition position in waiting)
            journal.WaitDurable(position);
        Assert.Equal(1, world.Files.SyncCount - before);
        JournalStatistics statistics = journal.Statistics;
        Assert.Equal((100L, 1L, 1L), (statistics.Records, statistics.Writes, statistics.Syncs));
        Assert.True(statistics.WrittenBytes > 100 && statistics.SlowestSyncMicroseconds <= statistics.SyncMicroseconds);
    }

    [Fact]
    public void RequestsForACommitAreServedTogetherAndTellTheListener()
    {
        var world = new JournalWorld(5);
        var listener = new RecordingListener();
        using JournalWriter journal = world.Open(options: new JournalOptions());
        journal.Listener = listener;
        long before = world.Files.SyncCount;
        LogPosition last = default;
        for (int i = 0; i < 50; i++)
        {
            last = JournalWorld.Append(journal, $"{i}");
            journal.RequestCommit(sync: i % 2 == 0);
        }

        Assert.Equal(1, world.Scheduler.JobsWaiting);
        world.Scheduler.RunAll();
        Assert.Equal(1, world.Files.SyncCount - before);
        Assert.Equal([last], listener.DurablePositions);
    }

    [Fact]
    public void WhatIsWrittenBesideASyncIsNotTakenForDurable()
    {
        var world = new JournalWorld(7);
        var listener = new RecordingListener();
        using JournalWriter journal = world.Open(options: new JournalOptions());
        journal.Listener = listener;
        LogPosition first = JournalWorld.Append(journal, "synced");
        LogPosition second = default;
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind != DiskOperationKind.Sync || second != default)
                return;
            second = JournalWorld.Append(journal, "written while the sync runs");
            journal.Commit(sync: false);
        };
        journal.RequestCommit(sync: true);
        world.Scheduler.RunAll();
        Assert.Equal(second, journal.WrittenPosition);
        Assert.Equal(first, journal.DurablePosition);
        Assert.Equal([first], listener.DurablePositions);
        Assert.Equal(1, journal.Statistics.Syncs);

        journal.WaitDurable(second);
        Assert.Equal([first, second], listener.DurablePositions);
        Assert.Equal(2, journal.Statistics.Syncs);
    }

    [Fact]
    public void ACommitWithoutSyncWritesOnly()
    {
        var world = new JournalWorld(6);
        using JournalWriter journal = world.Open();
        long before = world.Files.SyncCount;
        LogPosition position = JournalWorld.Append(journal, "kept by the page cache");
        journal.Commit(sync: false);
        Assert.Equal(before, world.Files.SyncCount);
        Assert.Equal(position, journal.WrittenPosition);
        Assert.True(journal.DurablePosition < position);

        world.Crash(CrashKind.ProcessKill);
        using (world.Open())
            Assert.Equal([(position, "kept by the page cache")], world.Replayed);
    }

    [Fact]
    public void WhatAKilledProcessLeftInThePageCacheIsDurableOnceReplayed()
    {
        var world = new JournalWorld(7);
        JournalWriter journal = world.Open();
        LogPosition position = JournalWorld.Append(journal, "unsynced");
        journal.Commit(sync: false);
        world.Crash(CrashKind.ProcessKill);
        JournalWriter second = world.Open();
        Assert.Equal(position, Assert.Single(world.Replayed).Position);
        Assert.True(second.DurablePosition >= position);
        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open())
            Assert.Equal(position, Assert.Single(world.Replayed).Position);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhoHearsOfASyncMayWriteMoreThanFits(bool inBackground)
    {
        var world = new JournalWorld(7);
        JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { PendingBytesMax = 8 << 10 });
        List<string> written = ["first"];
        var listener = new AppendingListener(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                written.Add($"{i} " + new string('x', 1000));
                JournalWorld.Append(journal, written[^1]);
            }
        });
        journal.Listener = listener;
        LogPosition first = JournalWorld.Append(journal, "first");
        if (inBackground)
            journal.RequestCommit(sync: true);
        else
            journal.Commit(sync: true);
        world.Scheduler.RunAll();
        Assert.True(listener.Heard >= first);
        journal.Commit(sync: true);
        Assert.Equal(journal.AppendedPosition, listener.Heard);
        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open())
            Assert.Equal(written, world.Replayed.Select(r => r.Payload));
    }

    [Fact]
    public void SegmentsAreTrimmedRecycledAndNeverReadAsWhatTheyWere()
    {
        var world = new JournalWorld(8);
        JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { SpareSegmentsMax = 3 });
        List<(LogPosition Position, string Payload)> written = [];
        int recycled = 0;
        for (int i = 0; i < 3000; i++)
        {
            // All of one length, so that what a recycled segment held fits exactly behind what it holds now.
            string payload = $"{i:D4}:" + new string('r', 90);
            written.Add((JournalWorld.Append(journal, payload), payload));
            journal.WaitDurable(written[^1].Position);
            // Segments reach the size at which they are kept for reuse only when they are made in the background.
            world.Scheduler.RunAll();
            if (i % 100 == 99)
            {
                written.RemoveRange(0, written.Count - 30);
                int before = Spares();
                journal.TrimBefore(written[0].Position);
                recycled += Spares() - before;
                Assert.True(journal.RetainedBytes < 4 * JournalWorld.SmallOptions.SegmentBytes);
            }

            if (i > 2800)
            {
                // Behind the last record the segment shows what it held before.
                var crashed = new JournalWorld(8, world.Files.AfterCrash(world.Random.Fork(), CrashKind.LoseUnsynced));
                using (crashed.Open(new LogPosition(written[0].Position.Value - 1)))
                    Assert.Equal(written, crashed.Replayed);
            }
        }

        Assert.True(recycled > 10, $"{recycled} segments were recycled");
        Assert.True(world.Files.Paths.Count <= 8, string.Join(' ', world.Files.Paths));
        LogPosition after = new(written[0].Position.Value - 1);
        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open(after))
            Assert.Equal(written, world.Replayed);

        int Spares() => world.Files.Paths.Count(path => path.EndsWith(".spare", StringComparison.Ordinal));
    }

    [Fact]
    public void WhatASegmentHoldsUnsyncedIsDurableBeforeTheNextOneBegins()
    {
        var world = new JournalWorld(11);
        JournalWriter journal = world.Open();
        JournalWorld.Append(journal, "written only");
        journal.Commit(sync: false);

        // At every instant on the way: later on the mark that the next segment is there syncs the old one, too.
        int instants = 0;
        Exception? refused = null;
        world.Files.BeforeOperation = _ =>
        {
            instants++;
            refused ??= Record.Exception(() => new JournalWorld(12, world.Files.AfterCrash(new SeededRandom(13), CrashKind.LoseUnsynced)).Open().Dispose());
        };
        journal.WaitDurable(JournalWorld.Append(journal, new string('n', 20_000)));
        Assert.Null(refused);
        Assert.True(instants > 5, $"{instants} instants");
        world.Files.BeforeOperation = null;
        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open())
            Assert.Equal(["written only", new string('n', 20_000)], world.Replayed.Select(record => record.Payload));
    }

    [Fact]
    public void ARecordLargerThanASegmentGetsASegmentOfItsOwn()
    {
        var world = new JournalWorld(9);
        string large = new('L', 700_000);
        using (JournalWriter journal = world.Open())
        {
            JournalWorld.Append(journal, "before");
            JournalWorld.Append(journal, large);
            journal.WaitDurable(JournalWorld.Append(journal, "after"));
        }

        using (world.Open())
            Assert.Equal(["before", large, "after"], world.Replayed.Select(record => record.Payload));
    }

    [Fact]
    public void AMissingSegmentIsNamed()
    {
        var world = new JournalWorld(13);
        LogPosition middle = default;
        using (JournalWriter journal = world.Open())
        {
            for (int i = 0; i < 800; i++)
            {
                LogPosition position = JournalWorld.Append(journal, new string('m', 100));
                journal.WaitDurable(position);
                middle = i == 400 ? position : middle;
            }

            journal.TrimBefore(middle);
        }

        List<string> segments = [.. world.Files.Paths.Where(path => path.EndsWith(".segment", StringComparison.Ordinal))];
        Assert.True(segments.Count >= 3);
        for (int i = 0; i < segments.Count - 1; i++)
        {
            var other = new JournalWorld(14, world.Files.Clone());
            other.Files.Delete(segments[i]);
            Exception thrown = Assert.Throws<FileMissingException>(() => other.Open(middle));
            Assert.Contains(segments[i], thrown.Message, StringComparison.Ordinal);
            Assert.NotEmpty(JournalVerifier.Verify(other.Files, JournalWorld.Folder));
        }
    }

    [Fact]
    public void ANewerFormatIsRefused()
    {
        var world = new JournalWorld(15);
        world.Open().Dispose();
        string path = Assert.Single(world.Files.Paths);
        byte[] bytes = world.Files.ReadAll(path);
        bytes[8] = 99;
        BitConverter.TryWriteBytes(bytes.AsSpan(4092), Crc32C.Compute(bytes.AsSpan(0, 4092)));
        world.Files.WriteAll(path, bytes);
        Assert.Contains("99", Assert.Throws<FormatTooNewException>(() => world.Open()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnEmptyFolderIsRefusedWhereAJournalMustBe()
    {
        var world = new JournalWorld(16);
        Assert.Throws<FileMissingException>(() => world.Open(options: JournalWorld.SmallOptions with { MustExist = true }));

        // Not even the folder is made: whoever puts it back would put it inside.
        Assert.False(world.Files.FolderExists(JournalWorld.Folder));
        world.Files.CreateFolder(JournalWorld.Folder);
        Assert.Throws<FileMissingException>(() => world.Open(options: JournalWorld.SmallOptions with { MustExist = true }));
    }

    [Fact]
    public void AJournalThatEndsBeforeWhatWasDurableIsRefused()
    {
        var world = new JournalWorld(17);
        world.Open().Dispose();
        Assert.Throws<CorruptionException>(() => world.Open(replayAfter: new LogPosition(1 << 20)));
    }

    [Fact]
    public void PayloadsCarryEntriesOfSeveralStreams()
    {
        var buffer = new BytesBuffer();
        JournalPayload.AppendEntry(buffer, 3, "three"u8);
        JournalPayload.AppendEntry(buffer, 70_000, []);
        var reader = new JournalPayloadReader(buffer.WrittenSpan);
        Assert.True(reader.MoveNext());
        Assert.Equal(3u, reader.StreamId);
        Assert.Equal("three", Encoding.UTF8.GetString(reader.Bytes));
        Assert.True(reader.MoveNext());
        Assert.Equal(70_000u, reader.StreamId);
        Assert.Equal(0, reader.Bytes.Length);
        Assert.False(reader.MoveNext());
        Assert.False(reader.Malformed);

        var cut = new JournalPayloadReader(buffer.WrittenSpan[..4]);
        Assert.False(cut.MoveNext());
        Assert.True(cut.Malformed);
    }

    /// <summary>As a mailbox that is run by whoever posts to it: the first news of a sync makes it write.</summary>
    private sealed class AppendingListener(Action write) : IJournalListener
    {
        private Action? _write = write;

        public LogPosition Heard { get; private set; }

        public void Durable(LogPosition position)
        {
            Heard = position > Heard ? position : Heard;
            Action? now = _write;
            _write = null;
            now?.Invoke();
        }

        public void Failed(JournalFailure failure, Exception cause, LogPosition durable) => Assert.Fail(cause.Message);
    }
}
