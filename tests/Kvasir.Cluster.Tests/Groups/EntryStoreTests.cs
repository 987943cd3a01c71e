using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups;

public sealed class EntryStoreTests
{
    [Fact]
    public void DoesWhatAListWouldDo()
    {
        for (ulong seed = 0; seed < 60; seed++)
        {
            var random = new SeededRandom(seed);
            var memory = new EntryMemory(1 << 20);
            var store = new EntryStore(memory, new NoArchive());
            var model = new List<(Term Term, EntryKind Kind, byte[] Bytes)>();
            ulong first = 1;
            for (int step = 0; step < 2000; step++)
            {
                ulong next = first + (ulong)model.Count;
                switch (random.Next(12))
                {
                    case 0 when model.Count > 0:
                        ulong drop = first + (ulong)random.Next(model.Count + 1);
                        store.DropBefore(new LogIndex(drop));
                        model.RemoveRange(0, (int)(drop - first));
                        first = drop;
                        break;
                    case 1 when model.Count > 0:
                        int keep = random.Next(model.Count);
                        store.TruncateFrom(new LogIndex(first + (ulong)keep));
                        model.RemoveRange(keep, model.Count - keep);
                        break;
                    case 2 when random.OneIn(30):
                        first = (ulong)random.Next(10_000) + 1;
                        store.Reset(new LogIndex(first - 1));
                        model.Clear();
                        break;
                    default:
                        byte[] bytes = new byte[random.OneIn(50) ? random.Next(100_000) : random.Next(300)];
                        random.NextBytes(bytes);
                        ulong at = random.OneIn(20) && model.Count > 3 ? next - (ulong)random.Next(3) : next;
                        model.RemoveRange((int)(at - first), model.Count - (int)(at - first));
                        model.Add((new Term((ulong)step), (EntryKind)random.Next(3), bytes));
                        store.Add(new LogIndex(at), new Term((ulong)step), model[^1].Kind, bytes);
                        break;
                }

                Assert.Equal((first, first + (ulong)model.Count), (store.First.Value, store.Next.Value));
                Assert.Equal(model.Sum(e => (long)e.Bytes.Length), store.Bytes);
                if (model.Count == 0)
                    continue;
                int i = random.Next(model.Count);
                var index = new LogIndex(first + (ulong)i);
                Assert.Equal((model[i].Term, model[i].Kind), (store.TermOf(index), store.KindOf(index)));
                Assert.True(store.BytesOf(index).SequenceEqual(model[i].Bytes), $"seed {seed}, step {step}");
                Assert.Equal(model.Skip(i + 1).Sum(e => (long)e.Bytes.Length), store.BytesBehind(index));
                LogIndex fit = store.Fit(index, store.Next.Previous, 500, out long size);
                Assert.True(fit >= index && fit < store.Next && (size <= 500 || fit == index));
            }

            store.Reset(LogIndex.Zero);
            Assert.Equal(0, memory.Bytes);
        }
    }

    [Fact]
    public void ForWhatIsOnlyInTheFilesTheFilesAreAsked()
    {
        var store = new EntryStore(new EntryMemory(1 << 20), new NoArchive());
        store.Reset(new LogIndex(10));
        store.Add(new LogIndex(11), new Term(1), EntryKind.Normal, "a"u8);
        Assert.Equal(new LogIndex(10), store.Fit(new LogIndex(7), new LogIndex(11), 1000, out long bytes));
        Assert.Equal(77, bytes);
        Assert.False(store.Holds(new LogIndex(10)));
    }

    private sealed class NoArchive : IEntryArchive
    {
        public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
        {
            bytes = 77;
            return last;
        }
    }
}
