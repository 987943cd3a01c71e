using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.Tests.HashLog.Index;

public sealed class TokenListTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(256)]
    [InlineData(257)]
    public void KeepsWhatIsAdded(int count) => Assert.True(FillAndSort(count));

    [Fact]
    public void LeavesNoGarbage()
    {
        const int Count = 100_000;
        FillAndSort(Count);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(FillAndSort(Count));
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // A collection on behalf of another thread counts the rest of this one's block as allocated.
        Assert.InRange(allocated, 0, 64 << 10);
    }

    [Fact]
    public void IsEmptyAndOfUseAgainWhenItWasDisposedOf()
    {
        var list = new TokenList<Item>();
        list.Add(new Item(3, 0));
        list.Dispose();
        Assert.Equal(0, list.Items.Length);
        list.Add(new Item(4, 1));
        Assert.Equal(new Item(4, 1), Assert.Single(list.Items.ToArray()));
        list.Dispose();
        list.Dispose();
    }

    private static bool FillAndSort(int count)
    {
        var random = new SeededRandom(7);
        using var list = new TokenList<Item>();
        ulong sum = 0;
        for (int i = 0; i < count; i++)
        {
            var item = new Item(random.NextUInt64(), i);
            sum += item.Token;
            list.Add(item);
        }

        list.Sort();
        foreach (ref readonly Item item in list.Items)
            sum -= item.Token;
        return sum == 0 && list.Count == count && TokenSort.IsSorted<Item>(list.Items);
    }

    private readonly record struct Item(ulong Token, int Order) : ITokened;
}
