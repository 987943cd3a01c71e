using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.Tests.HashLog.Index;

public sealed class TokenSortTests
{
    [Theory]
    [InlineData(0, 64)]
    [InlineData(1, 64)]
    [InlineData(20, 2)]
    [InlineData(25, 64)]
    [InlineData(5_000, 64)]
    [InlineData(5_000, 10)]
    [InlineData(5_000, 1)]
    public void SortsByTokenAndKeepsTheOrderOfThoseThatHaveOneInCommon(int count, int bits)
    {
        var random = new SeededRandom((ulong)count);
        var items = new Item[count];
        for (int i = 0; i < count; i++)
            items[i] = new Item(random.NextUInt64() >> (64 - bits), i);
        Item[] expected = [.. items.OrderBy(i => i.Token)];
        TokenSort.Sort(items.AsSpan());
        Assert.Equal(expected, items);
    }

    private readonly record struct Item(ulong Token, int Order) : ITokened;
}
