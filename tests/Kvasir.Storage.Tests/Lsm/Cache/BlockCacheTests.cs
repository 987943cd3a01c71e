using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.Cache;

namespace Kvasir.Storage.Tests.Lsm.Cache;

public sealed class BlockCacheTests
{
    private readonly MemoryBudget _budget = new(MemoryBudget.MinimumBytes);

    [Fact]
    public void TheBudgetHoldsWhateverIsPutIn()
    {
        var random = new SeededRandom(1);
        var cache = new BlockCache(_budget);
        ulong file = cache.NewFileId();
        for (int i = 0; i < 50_000; i++)
        {
            if (i == 20_000)
                _budget.AddWrite(_budget.TotalBytes / 2);
            Add(cache, file, random.Next(20_000), random.Next(1, 9000));
            Assert.True(_budget.CacheBytes <= _budget.CacheLimitBytes, $"insert {i}");
        }

        Assert.True(cache.Bytes > _budget.CacheLimitBytes * 9 / 10);
    }

    [Fact]
    public void AHeldBlockKeepsItsBytesAfterItWasEvicted()
    {
        var cache = new BlockCache(_budget);
        ulong file = cache.NewFileId();
        var held = new CachedBlock(file, 1, 4096, _budget) { Length = 4096 };
        held.Span.Fill(0x5A);
        held = cache.Insert(held);
        for (int i = 2; i < 20_000; i++)
            Add(cache, file, i, 4096);
        Assert.Null(cache.TryGet(file, 1));
        Assert.False(held.Span.ContainsAnyExcept((byte)0x5A));
        held.Release();
    }

    [Fact]
    public void BlocksInUseOutliveAScanOfManyTimesTheCache()
    {
        var cache = new BlockCache(_budget);
        ulong hot = cache.NewFileId();
        ulong cold = cache.NewFileId();
        const int HotBlocks = 1000;
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < HotBlocks; i++)
                Touch(cache, hot, i);
        }

        int hits = 0;
        for (int i = 0; i < 40_000; i++)
        {
            Touch(cache, cold, i);
            if (i % 4 == 0)
                hits += Touch(cache, hot, i / 4 % HotBlocks) ? 1 : 0;
        }

        Assert.True(hits > 9_900, $"{hits} of 10000");
    }

    [Fact]
    public void OfTwoWhoLoadTheSameBlockTheSecondGetsTheFirstOnes()
    {
        var cache = new BlockCache(_budget);
        ulong file = cache.NewFileId();
        CachedBlock first = cache.Insert(new CachedBlock(file, 8, 100, _budget));
        CachedBlock second = cache.Insert(new CachedBlock(file, 8, 100, _budget));
        Assert.Same(first, second);
        Assert.Equal(256 + (256 / 8) + CachedBlock.ObjectBytes, _budget.CacheBytes);
        first.Release();
        second.Release();
        Assert.Equal(256 + (256 / 8) + CachedBlock.ObjectBytes, _budget.CacheBytes);
    }

    [Fact]
    public void WhenTheLastUserLeavesAllMemoryIsGivenBack()
    {
        BlockCache cache = BlockCache.Join(_budget);
        Assert.Same(cache, BlockCache.Join(_budget));
        ulong file = cache.NewFileId();
        for (int i = 0; i < 100; i++)
            Add(cache, file, i, 1000);
        cache.Leave();
        Assert.Equal(100 * (1024 + (1024 / 8) + CachedBlock.ObjectBytes), _budget.CacheBytes);
        cache.Leave();
        Assert.Equal(0, _budget.CacheBytes);
    }

    [Fact]
    public void AHitAllocatesNothing()
    {
        var cache = new BlockCache(_budget);
        ulong file = cache.NewFileId();
        Add(cache, file, 1, 1000);
        Assert.Equal(0, Allocations.Least(() => cache.TryGet(file, 1)!.Release()));
    }

    [Fact]
    public async Task ReadersAndEvictionsSideBySideNeverShowForeignBytes()
    {
        var cache = new BlockCache(_budget);
        ulong file = cache.NewFileId();
        var tasks = new List<Task>();
        for (ulong seed = 1; seed <= 4; seed++)
        {
            var random = new SeededRandom(seed);
            tasks.Add(Task.Run(() =>
            {
                for (int i = 0; i < 60_000; i++)
                {
                    int offset = 1 + (random.OneIn(2) ? random.Next(500) : random.Next(8000));
                    CachedBlock? block = cache.TryGet(file, offset);
                    if (block is null)
                    {
                        block = new CachedBlock(file, offset, 4096, _budget) { Length = 4096 };
                        block.Span.Fill((byte)offset);
                        block = cache.Insert(block);
                    }

                    Assert.False(block.Span.ContainsAnyExcept((byte)offset));
                    block.Release();
                }
            }));
        }

        await Task.WhenAll(tasks);
    }

    private void Add(BlockCache cache, ulong file, int offset, int size) =>
        cache.Insert(new CachedBlock(file, offset, size, _budget) { Length = size }).Release();

    private bool Touch(BlockCache cache, ulong file, int offset)
    {
        CachedBlock? block = cache.TryGet(file, offset);
        if (block is null)
        {
            Add(cache, file, offset, 4096);
            return false;
        }

        block.Release();
        return true;
    }
}
