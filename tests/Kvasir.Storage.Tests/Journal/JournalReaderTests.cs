using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Journal;

public sealed class JournalReaderTests
{
    [Fact]
    public void EveryRecordCanBeReadFromItsPlaceOn()
    {
        var world = new JournalWorld(1);
        using JournalWriter journal = world.Open();
        List<(LogPosition Start, string Payload)> written = Fill(journal, 60, 900);
        using JournalReader reader = journal.CreateReader();
        for (int from = 0; from < written.Count; from += 7)
        {
            Assert.True(reader.TrySeek(written[from].Start));
            for (int i = from; i < written.Count; i++)
            {
                Assert.True(reader.MoveNext());
                Assert.Equal(written[i].Start, reader.Start);
                Assert.Equal(written[i].Payload, Encoding.UTF8.GetString(reader.Payload));
            }

            Assert.False(reader.MoveNext());
            Assert.False(reader.IsTrimmed);
        }
    }

    [Fact]
    public void WhatIsOnlyInMemoryIsNotThereYetAndThenIs()
    {
        var world = new JournalWorld(2);
        using JournalWriter journal = world.Open();
        using JournalReader reader = journal.CreateReader();
        LogPosition first = Append(journal, "first");
        Assert.False(reader.TrySeek(first));
        Assert.False(reader.IsTrimmed);
        journal.Commit(sync: false);
        Assert.True(reader.TrySeek(first));
        Assert.True(reader.MoveNext());
        Append(journal, "second");
        Assert.False(reader.MoveNext());
        journal.Commit(sync: true);
        Assert.True(reader.MoveNext());
        Assert.Equal("second", Encoding.UTF8.GetString(reader.Payload));
    }

    [Fact]
    public void ARecordLargerThanAWindowIsReadWhole()
    {
        var world = new JournalWorld(3);
        using JournalWriter journal = world.Open();
        Append(journal, "before");
        string large = new('x', 300_000);
        LogPosition start = Append(journal, large);
        Append(journal, "behind");
        journal.Commit(sync: true);
        using JournalReader reader = journal.CreateReader();
        Assert.True(reader.TrySeek(start));
        Assert.True(reader.MoveNext());
        Assert.Equal(large, Encoding.UTF8.GetString(reader.Payload));
        Assert.True(reader.MoveNext());
        Assert.Equal("behind", Encoding.UTF8.GetString(reader.Payload));
    }

    [Fact]
    public void ReadingGoesOnOverASegmentWithoutARecord()
    {
        var world = new JournalWorld(7);
        JournalWriter journal = world.Open();
        LogPosition start = Append(journal, "before");
        journal.Commit(sync: true);
        world.Crash(CrashKind.LoseUnsynced);

        // The segment that is begun after the crash has no room for the first record that comes.
        journal = world.Open();
        Append(journal, new string('x', 12_000));
        journal.Commit(sync: true);
        using JournalReader reader = journal.CreateReader();
        Assert.True(reader.TrySeek(start));
        Assert.True(reader.MoveNext());
        Assert.True(reader.MoveNext());
        Assert.Equal(12_000, reader.Payload.Length);
        Assert.False(reader.MoveNext());
        Assert.False(reader.IsTrimmed);
        journal.Dispose();
    }

    [Fact]
    public void WhatWasReadIsKeptWithinBoundsUntilItIsForgotten()
    {
        var world = new JournalWorld(8);
        using JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { FirstSegmentBytes = 16 << 20, SegmentBytes = 16 << 20 });
        List<(LogPosition Start, string Payload)> few = Fill(journal, 60, 900);
        using JournalReader reader = journal.CreateReader();
        ReadAll(few);
        (long Times, long Bytes) once = reader.Readings;
        for (int i = 0; i < 5; i++)
            ReadAll(few);
        Assert.Equal(once, reader.Readings);
        reader.Forget();
        ReadAll(few);
        Assert.Equal(2 * once.Bytes, reader.Readings.Bytes);

        // More than is kept: the first of it was let go when the last was read.
        List<(LogPosition Start, string Payload)> many = Fill(journal, 100, 100_000);
        ReadAll(many);
        once = reader.Readings;
        ReadAll(many[..5]);
        Assert.True(reader.Readings.Bytes > once.Bytes);

        void ReadAll(List<(LogPosition Start, string Payload)> records)
        {
            foreach ((LogPosition start, string payload) in records)
            {
                Assert.True(reader.TrySeek(start));
                Assert.True(reader.MoveNext());
                Assert.Equal(payload, Encoding.UTF8.GetString(reader.Payload));
                reader.Close();
            }
        }
    }

    [Fact]
    public void ASegmentThatIsRecycledUnderAReaderIsNoticedAndNeverServed()
    {
        var world = new JournalWorld(4);
        using JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { FirstSegmentBytes = 128 << 10, SegmentBytes = 128 << 10 });

        // More than a window, so that the reader has to go to the file again.
        List<(LogPosition Start, string Payload)> old = Fill(journal, 250, 1000);
        using JournalReader reader = journal.CreateReader();
        Assert.True(reader.TrySeek(old[0].Start));
        Assert.True(reader.MoveNext());
        journal.TrimBefore(journal.AppendedPosition);
        Assert.Contains(world.Files.Paths, path => path.EndsWith(".spare", StringComparison.Ordinal));
        List<(LogPosition Start, string Payload)> young = Fill(journal, 250, 1000);
        Assert.DoesNotContain(world.Files.Paths, path => path.EndsWith(".spare", StringComparison.Ordinal));

        int served = 1;
        while (reader.MoveNext())
            Assert.Equal(old[served++].Payload, Encoding.UTF8.GetString(reader.Payload));
        Assert.True(reader.IsTrimmed);
        Assert.InRange(served, 1, 100);
        Assert.False(reader.TrySeek(old[0].Start));
        Assert.True(reader.IsTrimmed);
        Assert.True(reader.TrySeek(young[0].Start));
        Assert.True(reader.MoveNext());
        Assert.Equal(young[0].Payload, Encoding.UTF8.GetString(reader.Payload));
    }

    [Fact]
    public void ASegmentThatVanishesBeforeItIsOpenedIsTrimmed()
    {
        var world = new JournalWorld(5);
        using JournalWriter journal = world.Open();
        List<(LogPosition Start, string Payload)> written = Fill(journal, 60, 900);
        using JournalReader reader = journal.CreateReader();

        // Between the look at the list and the opening.
        bool trims = true;
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind != DiskOperationKind.Open || !trims)
                return;
            trims = false;
            journal.TrimBefore(journal.AppendedPosition);
        };
        Assert.False(reader.TrySeek(written[0].Start));
        Assert.True(reader.IsTrimmed);
    }

    [Fact]
    public void DamageIsToldWithItsPlaceAndNotServed()
    {
        var world = new JournalWorld(6);
        using JournalWriter journal = world.Open();
        List<(LogPosition Start, string Payload)> written = Fill(journal, 3, 100);
        string path = Assert.Single(world.Files.Paths, name => name.EndsWith(".segment", StringComparison.Ordinal));
        long length = JournalInspector.Walk(world.Files, path, _ => { });
        for (long offset = 4096 + 25; offset < length - 25; offset++)
        {
            world.Files.FlipBit(path, offset, 3);
            using JournalReader reader = journal.CreateReader();
            Assert.True(reader.TrySeek(written[0].Start));
            CorruptionException damage = Assert.Throws<CorruptionException>(() =>
            {
                while (reader.MoveNext())
                {
                }
            });
            Assert.Equal(path, damage.Path);
            Assert.InRange(offset, damage.Offset, damage.Offset + 120);
            world.Files.FlipBit(path, offset, 3);
        }
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void BesideAWriterThatDoesAnythingAReaderServesWhatWasWritten(ulong seed)
    {
        var world = new JournalWorld(seed);
        JournalWriter journal = world.Open();
        JournalReader reader = journal.CreateReader();
        List<(LogPosition Start, LogPosition Position, string Payload)> written = [];
        LogPosition trimmed = default;
        int served = 0, trims = 0;
        int at = -1;
        for (int step = 0; step < 3000; step++)
        {
            switch (world.Random.Next(12))
            {
                case < 4:
                    string payload = $"{step}:" + new string('p', world.Random.Next(700));
                    LogPosition position = JournalWorld.Append(journal, payload);
                    written.Add((JournalReader.StartOf(position, payload.Length), position, payload));
                    break;
                case 4:
                    journal.Commit(sync: world.Random.OneIn(2));
                    break;
                case 5:
                    journal.RequestCommit(sync: world.Random.OneIn(2));
                    world.Scheduler.RunOne();
                    break;
                case 6 when world.Random.OneIn(3) && written.Count > 0:
                    LogPosition before = written[written.Count - 1 - world.Random.Next(Math.Min(60, written.Count))].Position;
                    trimmed = before > trimmed ? before : trimmed;
                    journal.TrimBefore(trimmed);
                    break;
                case 7 when world.Random.OneIn(20):
                    reader.Dispose();
                    journal.Dispose();
                    journal = world.Open();
                    reader = journal.CreateReader();
                    at = -1;
                    break;
                case 8 when written.Count > 0 && world.Random.OneIn(4):
                    int wanted = written.Count - 1 - world.Random.Next(Math.Min(90, written.Count));
                    bool found = reader.TrySeek(written[wanted].Start);
                    if (!found)
                        Assert.True(reader.IsTrimmed ? written[wanted].Position < trimmed : written[wanted].Position > journal.WrittenPosition);
                    at = found ? wanted : -1;
                    break;
                default:
                    if (at < 0)
                        break;
                    if (!reader.MoveNext())
                    {
                        if (reader.IsTrimmed)
                        {
                            trims++;
                            Assert.True(written[at].Position < trimmed);
                            at = -1;
                        }
                        else
                        {
                            Assert.True(at == written.Count || written[at].Position > journal.WrittenPosition);
                        }

                        break;
                    }

                    Assert.Equal(written[at], (reader.Start, reader.Position, Encoding.UTF8.GetString(reader.Payload)));
                    at++;
                    served++;
                    break;
            }
        }

        Assert.True(served > 300 && trims > 0, $"seed {seed}: only {served} records were read, and {trims} readings ended in a trim");
        reader.Dispose();
        journal.Dispose();
    }

    [Fact]
    public async Task OnTheMachineAReaderServesWhatWasWrittenWhileSegmentsAreRecycled()
    {
        const int Records = 6000;
        string folder = Directory.CreateTempSubdirectory("kvasir-journal-").FullName;
        try
        {
            using var scheduler = new ThreadScheduler(TimeProvider.System);
            JournalOptions options = JournalWorld.SmallOptions with { FirstSegmentBytes = 16 << 10 };
            using JournalWriter journal = JournalWriter.Open(
                new PosixFileSystem(), scheduler, folder, options, LogPosition.Zero, (_, _) => { });
            var starts = new LogPosition[Records];
            int written = 0;
            Task writer = Task.Factory.StartNew(
                () =>
                {
                    var random = new SeededRandom(5);
                    for (int i = 0; i < Records; i++)
                    {
                        string payload = $"{i}:" + new string((char)('a' + (i % 26)), random.Next(300));
                        LogPosition position = JournalWorld.Append(journal, payload);
                        starts[i] = JournalReader.StartOf(position, payload.Length);
                        Volatile.Write(ref written, i + 1);
                        if (i % 8 == 7)
                            journal.Commit(sync: i % 512 == 511);
                        if (i % 200 == 199)
                            journal.TrimBefore(starts[i - 100]);
                    }

                    journal.Commit(sync: true);
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default);

            using JournalReader reader = journal.CreateReader();
            var random = new SeededRandom(6);
            bool isLast;
            do
            {
                isLast = writer.IsCompleted;
                int known = Volatile.Read(ref written);
                if (known == 0)
                    continue;
                int at = known - 1 - random.Next(Math.Min(known, 250));
                if (!reader.TrySeek(starts[at]))
                    continue;
                for (int end = at + 40; at < end && reader.MoveNext(); at++)
                {
                    string payload = Encoding.UTF8.GetString(reader.Payload);
                    string[] parts = payload.Split(':');
                    Assert.Equal($"{at}", parts[0]);
                    Assert.Equal(new string((char)('a' + (at % 26)), parts[1].Length), parts[1]);
                }

                // A file that is held open would keep its place on the disk.
                if (random.OneIn(3))
                    reader.Close();
            }
            while (!isLast);
            await writer;
            Assert.True(reader.TrySeek(starts[^1]) && reader.MoveNext());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static LogPosition Append(JournalWriter journal, string payload) =>
        JournalReader.StartOf(JournalWorld.Append(journal, payload), payload.Length);

    private static List<(LogPosition Start, string Payload)> Fill(JournalWriter journal, int records, int bytes)
    {
        List<(LogPosition Start, string Payload)> written = [];
        for (int i = 0; i < records; i++)
        {
            string payload = $"{i}:" + new string('p', bytes);
            written.Add((Append(journal, payload), payload));
            if (i % 5 == 4)
                journal.Commit(sync: i % 2 == 0);
        }

        journal.Commit(sync: true);
        return written;
    }
}
