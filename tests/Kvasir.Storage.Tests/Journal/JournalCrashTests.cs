using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>Crashes at every disk operation of a workload, with every kind of loss.</summary>
public sealed class JournalCrashTests
{
    private static readonly CrashKind[] s_kinds = Enum.GetValues<CrashKind>();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void NothingAcknowledgedIsLostAtAnyCrashPoint(ulong seed)
    {
        int points = 0;
        var world = new JournalWorld(seed);
        var run = new Run();
        SimulatedFileSystem? disk = world.Files;
        disk.BeforeOperation = operation =>
        {
            if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look)
                return;
            foreach (CrashKind kind in s_kinds)
            {
                points++;
                ulong crashSeed = (seed << 32) + (ulong)((operation.Number * s_kinds.Length) + (int)kind);
                Recover(disk, kind, crashSeed, run, $"seed {seed}, {operation}, {kind}");
            }
        };

        // Closed and opened in between, so that crashes fall into openings as well.
        for (int round = 0; round < 3; round++)
        {
            JournalWriter journal = world.Open(run.TrimmedBefore);

            // What the process before held in memory only is gone with it.
            LogPosition end = world.Replayed.Count == 0 ? run.TrimmedBefore : world.Replayed[^1].Position;
            run.Records.RemoveAll(record => record.Position > end);
            for (int i = 0; i < 60; i++)
                Step(journal, world, run, i);
            if (round == 1)
                journal.Dispose();
        }

        Assert.True(points > 1200, $"only {points} crash points");
    }

    [Fact]
    public void EveryTruncationOfATornTailOpensWithAPrefix()
    {
        var world = new JournalWorld(21);
        JournalWriter journal = world.Open();
        List<string> written = [];
        for (int i = 0; i < 12; i++)
        {
            written.Add($"{i}:" + new string('p', i * 3));
            JournalWorld.Append(journal, written[^1]);
        }

        journal.Commit(sync: false);
        string path = Assert.Single(world.Files.Paths, name => name.EndsWith(".segment", StringComparison.Ordinal));
        byte[] bytes = world.Files.ReadAll(path);
        long end = JournalInspector.Walk(world.Files, path, _ => { });
        int seen = 0;
        for (long cut = JournalFormatFacts.HeaderBytes; cut <= end; cut++)
        {
            byte[] torn = bytes.ToArray();
            torn.AsSpan((int)cut).Clear();
            var other = new JournalWorld(22);
            other.Files.WriteAll(path, torn);
            using (JournalWriter reopened = other.Open())
            {
                Assert.True(other.Replayed.Count >= seen);
                seen = other.Replayed.Count;
                Assert.Equal(written[..seen], other.Replayed.Select(record => record.Payload));
                reopened.WaitDurable(JournalWorld.Append(reopened, "after"));
            }

            using (other.Open())
                Assert.Equal([.. written[..seen], "after"], other.Replayed.Select(record => record.Payload));
        }

        Assert.Equal(written.Count, seen);
    }

    [Fact]
    public void EveryFlippedByteOfAClosedJournalIsDetected()
    {
        var world = new JournalWorld(23);
        using (JournalWriter journal = world.Open())
        {
            for (int i = 0; i < 60; i++)
            {
                JournalWorld.Append(journal, $"{i}:" + new string('d', i));
                if (i % 5 == 0)
                    journal.Commit(sync: true);
            }
        }

        foreach (string path in world.Files.Paths.Where(path => path.EndsWith(".segment", StringComparison.Ordinal)))
        {
            bool isLast = path == world.Files.Paths.Last(name => name.EndsWith(".segment", StringComparison.Ordinal));
            long closing = 0;
            JournalInspector.Walk(world.Files, path, entry => closing = entry.Offset);
            for (long offset = 0; offset < closing; offset++)
            {
                SimulatedFileSystem damaged = world.Files.Clone();
                damaged.FlipBit(path, offset, (int)(offset % 8));
                var other = new JournalWorld(24, damaged);
                StorageException thrown = Assert.ThrowsAny<StorageException>(() => other.Open());
                Assert.Contains(path, thrown.Message, StringComparison.Ordinal);
                JournalFinding finding = Assert.Single(JournalVerifier.Verify(damaged, JournalWorld.Folder));
                Assert.True(finding.Offset <= offset && finding.Offset >= offset - 4096, $"{offset} reported at {finding.Offset}");
            }

            Assert.True(closing > JournalFormatFacts.HeaderBytes || !isLast);
        }
    }

    [Fact]
    public void AFlipInDurableDataIsDetectedAfterAKillAsWell()
    {
        var world = new JournalWorld(25);
        JournalWriter journal = world.Open();
        for (int i = 0; i < 20; i++)
            journal.WaitDurable(JournalWorld.Append(journal, $"record {i}"));
        world.Crash(CrashKind.ProcessKill);
        string path = Assert.Single(world.Files.Paths, name => name.EndsWith(".segment", StringComparison.Ordinal));
        long lastMark = 0;
        JournalInspector.Walk(world.Files, path, entry => lastMark = entry.Offset);
        for (long offset = JournalFormatFacts.HeaderBytes; offset < lastMark; offset++)
        {
            SimulatedFileSystem damaged = world.Files.Clone();
            damaged.FlipBit(path, offset, 3);
            Assert.Throws<CorruptionException>(() => new JournalWorld(26, damaged).Open());
        }
    }

    [Fact]
    public void AFailedSyncWhosePagesTheSystemDroppedIsMadeGoodAtTheNextStart()
    {
        for (ulong seed = 0; seed < 50; seed++)
        {
            var world = new JournalWorld(seed);
            JournalWriter journal = world.Open();
            JournalWorld.Append(journal, "uncertain");
            world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync) { Times = 1 });
            Assert.Throws<WritesStoppedException>(() => journal.Commit(sync: true));

            // The process restarts and still sees the page; then the machine loses power.
            world.Crash(CrashKind.ProcessKill);
            world.Open();
            Assert.Single(world.Replayed);
            world.Crash(CrashKind.LoseUnsynced);
            world.Open();
            Assert.True(world.Replayed.Count == 1, $"seed {seed}");
        }
    }

    private static void Step(JournalWriter journal, JournalWorld world, Run run, int i)
    {
        string payload = $"{run.Records.Count}:" + new string((char)('a' + (i % 26)), world.Random.Next(400));
        run.Records.Add((JournalWorld.Append(journal, payload), payload));
        switch (world.Random.Next(8))
        {
            case 0:
                journal.Commit(sync: false);
                break;
            case 1:
                journal.RequestCommit(sync: true);
                world.Scheduler.RunAll();
                break;
            case 2 or 3:
                journal.WaitDurable(run.Records[^1].Position);
                break;
            case 4 when run.Records.Count > 40:
                LogPosition keep = run.Records[^40].Position;
                if (keep <= journal.DurablePosition)
                {
                    // As an engine would: what lies before is in its own files.
                    run.TrimmedBefore = new LogPosition(keep.Value - 1);
                    journal.TrimBefore(keep);
                }

                break;
            default:
                world.Scheduler.RunOne();
                break;
        }

        run.Acknowledged = journal.DurablePosition;
    }

    private static void Recover(SimulatedFileSystem disk, CrashKind kind, ulong crashSeed, Run run, string context)
    {
        var random = new SeededRandom(crashSeed);
        var world = new JournalWorld(random.NextUInt64(), disk.AfterCrash(random, kind));
        try
        {
            JournalWriter journal = world.Open(run.TrimmedBefore);
            List<(LogPosition, string)> expected =
                [.. run.Records.Where(record => record.Position > run.TrimmedBefore).Take(world.Replayed.Count)];
            Assert.Equal(expected, world.Replayed);
            LogPosition end = world.Replayed.Count == 0 ? run.TrimmedBefore : world.Replayed[^1].Position;
            bool lost = run.Records.Any(record => record.Position > end && record.Position <= run.Acknowledged);
            Assert.False(lost, $"acknowledged up to {run.Acknowledged}, found up to {end}");

            // It goes on, and what was torn does not come back.
            journal.WaitDurable(JournalWorld.Append(journal, "new"));
            int count = world.Replayed.Count;
            world.Crash(CrashKind.LoseUnsynced);
            world.Open(run.TrimmedBefore);
            Assert.Equal(count + 1, world.Replayed.Count);
            Assert.Equal("new", world.Replayed[^1].Payload);
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{context}: {exception.Message}", exception);
        }
    }

    private sealed class Run
    {
        public List<(LogPosition Position, string Payload)> Records { get; } = [];

        public LogPosition Acknowledged { get; set; }

        public LogPosition TrimmedBefore { get; set; }
    }
}

internal static class JournalFormatFacts
{
    public const int HeaderBytes = 4096;
}
