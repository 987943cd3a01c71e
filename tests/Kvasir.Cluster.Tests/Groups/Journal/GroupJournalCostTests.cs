using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups.Journal;

public sealed class GroupJournalCostTests
{
    [Fact]
    public void AnEntryIsWrittenWithoutAnAllocation()
    {
        // 1,800 entries of 100 bytes; the points of three logs grow now and then. A collection that another thread needs counts the rest of
        // this one's block as allocated: not each time.
        Assert.InRange(Enumerable.Range(0, 5).Min(_ => Allocated()), 0, 8000);
    }

    private static long Allocated()
    {
        using var world = new GroupWorld(1);
        var entries = new SameBytes();
        for (uint group = 1; group <= 3; group++)
            world.Found(group);
        ulong next = 1;
        // As many turns under one sync as will be measured: what remembers them is as large as it gets.
        for (int turn = 0; turn < 60; turn++)
            next = Turn(world.Journal, entries, next);
        world.Journal.SyncInline();

        // Less than a chunk of the journal, so that nothing but the groups' part is measured.
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int turn = 0; turn < 60; turn++)
            next = Turn(world.Journal, entries, next);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static ulong Turn(GroupJournal journal, SameBytes entries, ulong first)
    {
        for (uint group = 1; group <= 3; group++)
        {
            var request = new PersistRequest
            {
                Write = new WriteNumber(first),
                HardState = new HardState(new Term(1), new MemberId(1)),
                First = new LogIndex(first),
                Last = new LogIndex(first + 9),
            };
            journal.Add(new GroupId(group), request, entries);
        }

        journal.Write();
        return first + 10;
    }

    private sealed class SameBytes : IEntryBytes
    {
        private readonly byte[] _bytes = new byte[100];

        public EntryKind KindOf(LogIndex index) => EntryKind.Normal;

        public Term TermOf(LogIndex index) => new(1);

        public ReadOnlySpan<byte> BytesOf(LogIndex index) => _bytes;
    }
}
