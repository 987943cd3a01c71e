using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.Tests.HashLog.Index;

public sealed class TokenListTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(256)]
    [InlineData(100_000)]
    public void KeepsWhatIsAddedAndLeavesNoGarbage(int count)
    {
        FillAndSort(count);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(FillAndSort(count));
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // The list itself, whatever it holds.
        Assert.InRange(allocated, 0, 200);
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
