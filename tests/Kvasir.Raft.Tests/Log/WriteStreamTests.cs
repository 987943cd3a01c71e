using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Log;

public sealed class WriteStreamTests
{
    private static readonly TimeSpan s_now = TimeSpan.FromSeconds(1);

    [Fact]
    public void WhatIsReportedIsWhatADiskThatStopsThereHolds()
    {
        for (ulong seed = 1; seed <= 300; seed++)
            Play(seed);
    }

    [Fact]
    public void ARequestHoldsWhatChangedSinceTheLast()
    {
        TermLog log = Empty();
        var writes = new WriteStream(LogIndex.Zero);
        Append(log, 3, 1);
        writes.HardStateChanged();
        PersistRequest first = writes.Take(s_now, new HardState(new Term(1), new MemberId(2)), log);
        Assert.Equal((1UL, 1UL, 3UL, true), (first.Write.Value, first.First.Value, first.Last.Value, first.HardStateChanged));

        // Truncated and appended again before it is taken: the disk is told to drop what it was given.
        log.TruncateFrom(new LogIndex(3));
        writes.Truncated(new LogIndex(3));
        log.TruncateFrom(new LogIndex(2));
        writes.Truncated(new LogIndex(2));
        Append(log, 2, 2);
        PersistRequest second = writes.Take(s_now, default, log);
        Assert.Equal((2UL, 2UL, 3UL, false), (second.TruncateFrom.Value, second.First.Value, second.Last.Value, second.HardStateChanged));
        Assert.False(writes.HasWork(log.LastIndex));
    }

    [Fact]
    public void WhatWasNeverHandedOutIsNotTruncatedOnTheDisk()
    {
        TermLog log = Empty();
        var writes = new WriteStream(LogIndex.Zero);
        Append(log, 2, 1);
        writes.Take(s_now, default, log);
        Append(log, 2, 1);
        log.TruncateFrom(new LogIndex(4));
        writes.Truncated(new LogIndex(4));
        PersistRequest request = writes.Take(s_now, default, log);
        Assert.Equal((0UL, 3UL, 3UL), (request.TruncateFrom.Value, request.First.Value, request.Last.Value));
    }

    [Fact]
    public void AReportOfAWriteThatWasNeverHandedOutIsRefused() =>
        Assert.Throws<InvariantViolationException>(() => new WriteStream(LogIndex.Zero).Synced(new WriteNumber(1), out _));

    private static TermLog Empty() => new(LogIndex.Zero, Term.Zero, [], LogIndex.Zero);

    private static void Append(TermLog log, ulong count, ulong term) =>
        log.Append(log.LastIndex.Next, log.LastIndex + count, new Term(term));

    /// <summary>A disk that did the first so many writes agrees with the log up to the index that the stream calls durable.</summary>
    private static void Play(ulong seed)
    {
        var random = new SeededRandom(seed);
        TermLog log = Empty();
        var writes = new WriteStream(LogIndex.Zero);
        var disks = new List<ulong[]> { Array.Empty<ulong>() };
        ulong term = 1;
        for (int step = 0; step < 100; step++)
        {
            switch (random.Next(4))
            {
                case 0:
                    Append(log, 1 + (ulong)random.Next(3), term);
                    break;
                case 1 when log.LastIndex > LogIndex.Zero:
                    var from = new LogIndex(1 + (ulong)random.Next((int)log.LastIndex.Value));
                    term++;
                    log.TruncateFrom(from);
                    writes.Truncated(from);
                    Append(log, 1, term);
                    break;
                case 2 when writes.HasWork(log.LastIndex):
                    PersistRequest request = writes.Take(s_now, default, log);
                    List<ulong> disk = [.. disks[^1]];
                    if (request.TruncateFrom > LogIndex.Zero)
                        disk.RemoveRange((int)request.TruncateFrom.Value - 1, disk.Count - (int)request.TruncateFrom.Value + 1);
                    for (LogIndex i = request.First; i <= request.Last; i = i.Next)
                        disk.Add(log.TermAt(i).Value);
                    disks.Add([.. disk]);
                    break;
                case 3 when disks.Count > 1:
                    writes.Synced(new WriteNumber((ulong)random.Next(1, disks.Count)), out _);
                    break;
            }

            ulong[] held = disks[(int)writes.SyncedWrite.Value];
            for (ulong i = 1; i <= writes.SyncedIndex.Value; i++)
                Assert.True(i <= (ulong)held.Length && held[i - 1] == log.TermAt(new LogIndex(i)).Value, $"seed {seed}, step {step}, index {i}");
        }
    }
}
