using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Tests.Nodes;

namespace Kvasir.Cluster.Tests.Replicas;

public sealed class ReplicaMailboxTests
{
    [Fact]
    public void IdleMailboxRunsAnItemBeforePostReturns()
    {
        using NodeInMemory world = new();
        CountingItem item = new();
        world.Node.Mailbox.Post(item);
        Assert.Equal(1, item.Runs);
    }

    [Fact]
    public void ItemPostedFromInsideAnotherRunsAfterIt()
    {
        using NodeInMemory world = new();
        List<string> order = [];
        world.Node.Mailbox.Post(new ActionItem(_ =>
        {
            world.Node.Mailbox.Post(new ActionItem(_ => order.Add("inner")));
            order.Add("outer");
        }));
        Assert.Equal(["outer", "inner"], order);
    }

    [Fact]
    public void NoTwoItemsOverlapAndNoneIsLostWhateverTheThreads()
    {
        using NodeInMemory world = new();
        const int Threads = 4;
        const int ItemsEach = 20_000;
        CountingItem item = new();
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < ItemsEach; i++)
                world.Node.Mailbox.Post(item);
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Equal(Threads * ItemsEach, item.Runs);
        Assert.Equal(0, item.Overlaps);
    }

    [Fact]
    public void WhoPostsBrieflyIsNotKeptByWhatWaitsBehindItsItem()
    {
        using NodeInMemory world = new();
        ReplicaMailbox mailbox = world.Node.Mailbox;
        const int Waiting = 1000;
        CountingItem item = new();
        int passedOn = 0;
        mailbox.PostBriefly(
            new ActionItem(_ =>
            {
                for (int i = 0; i < Waiting; i++)
                    mailbox.Post(item);
            }),
            () => passedOn++);
        Assert.InRange(item.Runs, 0, Waiting / 2);
        Assert.Equal(1, passedOn);

        int run = item.Runs;
        mailbox.Post(item);
        Assert.Equal(run, item.Runs);
        mailbox.RunWaiting();
        Assert.Equal(Waiting + 1, item.Runs);
        mailbox.Post(item);
        Assert.Equal(Waiting + 2, item.Runs);
        mailbox.PostBriefly(item, () => passedOn++);
        Assert.Equal(Waiting + 3, item.Runs);
        Assert.Equal((1, 0), (passedOn, item.Overlaps));
    }

    private sealed class CountingItem : IMailboxItem
    {
        private int _inside;

        public int Runs { get; private set; }

        public int Overlaps { get; private set; }

        public void Run(Execution execution)
        {
            if (Interlocked.Increment(ref _inside) != 1)
                Overlaps++;
            Runs++;
            Interlocked.Decrement(ref _inside);
        }
    }
}
