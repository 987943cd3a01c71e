using FsCheck;
using FsCheck.Fluent;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups.Journal;

public sealed class EntryPointsTests
{
    private static readonly Gen<Change> s_change =
        from what in Gen.Choose(0, 9)
        from amount in Gen.Choose(1, 8)
        from bytes in Gen.Frequency((8, Gen.Choose(1, 600)), (1, Gen.Choose(3000, 9000)))
        from distance in Gen.Frequency((8, Gen.Choose(0, 3000)), (1, Gen.Choose(1 << 19, 1 << 21)))
        select new Change(what, amount, bytes, distance);

    [Fact]
    public void BytesFromAnEntryOnAreToldByTheMeanOfItsStretch()
    {
        var points = new EntryPoints();
        Assert.Equal(0, points.BytesFrom(new LogIndex(1)));
        points.Add(new LogIndex(1), new LogIndex(10), start: 100, bytes: 5000);
        points.Add(new LogIndex(11), new LogIndex(14), start: 6000, bytes: 8000);
        Assert.Equal(13000, points.BytesFrom(new LogIndex(1)));
        Assert.Equal(8000 + 2500, points.BytesFrom(new LogIndex(6)));
        Assert.Equal(8000, points.BytesFrom(new LogIndex(11)));
        Assert.Equal(2000, points.BytesFrom(new LogIndex(14)));
        Assert.Equal(0, points.BytesFrom(new LogIndex(15)));

        // Of those that are not there any more nothing is counted.
        points.CompactTo(new LogIndex(10));
        Assert.Equal(8000, points.BytesFrom(new LogIndex(3)));
    }

    [Fact]
    public void AWalkFromAPointMeetsTheEntryFirstAsItIsNow() =>
        Prop.ForAll(Arb.From(s_change.ListOf()), changes =>
        {
            var points = new EntryPoints();

            // The journal: in each record, some of the group's entries; each entry knows the record that it is in now.
            List<(ulong Start, ulong First, ulong Last)> records = [];
            SortedList<ulong, ulong> startOf = [];
            ulong position = 100, last = 0, compacted = 0;
            foreach (Change change in changes)
            {
                if (change.What == 0 && last > compacted)
                {
                    ulong from = Math.Max(compacted + 1, last - Math.Min(last - 1, (ulong)change.Amount - 1));
                    points.TruncateFrom(new LogIndex(from));
                    for (; last >= from; last--)
                        startOf.Remove(last);
                }
                else if (change.What == 1)
                {
                    compacted = Math.Min(last, compacted + (ulong)(change.Amount * 3));
                    points.CompactTo(new LogIndex(compacted));
                }
                else
                {
                    ulong first = last + 1;
                    last += (ulong)change.Amount;
                    points.Add(new LogIndex(first), new LogIndex(last), position, change.Bytes);
                    records.Add((position, first, last));
                    for (ulong i = first; i <= last; i++)
                        startOf[i] = position;
                    position += (ulong)(change.Bytes + change.Distance);
                }

                for (ulong index = compacted + 1; index <= last; index++)
                {
                    Assert.True(points.TryFind(new LogIndex(index), out ulong start, out LogIndex end));
                    Assert.True(start >= points.OldestStart && end > new LogIndex(index));
                    Assert.Equal(startOf[index], records.First(r => r.Start >= start && r.First <= index && r.Last >= index).Start);
                }

                Assert.False(points.TryFind(new LogIndex(last + 1), out _, out _));
                Assert.True(last == compacted || points.OldestStart < ulong.MaxValue);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(400));

    [Fact]
    public void ManySmallRecordsTakeFewPoints()
    {
        var points = new EntryPoints();
        for (ulong i = 1; i <= 100_000; i++)
            points.Add(new LogIndex(i), new LogIndex(i), i * 200, 120);
        Assert.InRange(points.Count, 2800, 3000);
    }

    [Fact]
    public void RareEntriesOfABusyJournalAreFoundWithoutMuchWalking()
    {
        var points = new EntryPoints();
        for (ulong i = 1; i <= 100; i++)
            points.Add(new LogIndex(i), new LogIndex(i), i * 700_000, 20);
        for (ulong i = 1; i <= 100; i++)
        {
            Assert.True(points.TryFind(new LogIndex(i), out ulong start, out _));
            Assert.InRange((i * 700_000) - start, 0UL, 1UL << 20);
        }
    }

    private sealed record Change(int What, int Amount, int Bytes, int Distance);
}
