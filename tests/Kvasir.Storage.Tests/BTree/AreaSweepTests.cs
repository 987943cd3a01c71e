using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Space;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Where the pages of a commit go.</summary>
public sealed class AreaSweepTests
{
    private const uint Area = ChunkBitmap.AreaPages;

    [Fact]
    public void PagesAreTakenWhereMuchIsFree()
    {
        FreeSpace space = NewSpace(10 * Area, page => page / Area == 6 ? page % 8 != 0 : page % 16 == 0);
        for (uint i = 0; i < Area * 7 / 8; i++)
            Assert.Equal(6u, space.Allocate(1) / Area);
        Assert.NotEqual(6u, space.Allocate(1) / Area);
        space.Rollback();
        space.TakesLowest = true;
        Assert.Equal(16u, space.Allocate(1));
    }

    [Fact]
    public void BranchesAndLeavesDoNotShareAreasAndWhatIsKeptIsLeftForWhoeverNeedsIt()
    {
        FreeSpace space = NewSpace(64 * Area, page => page % 4 == 0);
        HashSet<uint> branches = [];
        HashSet<uint> leaves = [];
        uint free = space.FreePages;
        for (int i = 0; i < 10 * Area / 4; i++)
        {
            leaves.Add(space.Allocate(1) / Area);

            // Two areas of them come and go.
            uint branch = space.Allocate(1, isBranch: true);
            branches.Add(branch / Area);
            if (i % 100 != 0)
                space.FreeOwn(branch, 1);
        }

        Assert.Empty(branches.Intersect(leaves));
        Assert.InRange(branches.Count, 1, 4);
        while (space.FreePages > 0)
            space.Allocate(1);
        Assert.Equal(64 * Area, space.PageCount);
        Assert.Equal(64 * Area, space.Allocate(1));
        space.Rollback();
        Assert.Equal(free, space.FreePages);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void NoPageIsTakenTwiceAndTheFileGrowsWhenNoneIsLeft(ulong seed)
    {
        // The last chunk, and its last area, are parts.
        var random = new SeededRandom(seed);
        uint pages = (uint)((2 * 32_256) + random.Next(3000) + 10);
        HashSet<uint> free = [];
        FreeSpace space = NewSpace(pages, page =>
        {
            bool isFree = page % 32_256 >= 4 && random.Next(100) < (page / Area % 7 == seed % 7 ? 60 : (int)seed * 2);
            if (isFree)
                free.Add(page);
            return isFree;
        });
        for (ulong commit = 2; free.Count > 0; commit++)
        {
            space.Release(commit - 1);
            space.TakesLowest = random.OneIn(4);
            List<uint> taken = [];
            for (int i = random.Next(2000); i >= 0 && free.Count > 0; i--)
            {
                uint page = space.Allocate(1, random.OneIn(2));
                Assert.True(free.Remove(page), $"page {page} is not free");
                taken.Add(page);
                if (random.OneIn(10))
                {
                    space.FreeOwn(page, 1);
                    free.Add(page);
                    taken.RemoveAt(taken.Count - 1);
                }
            }

            if (random.OneIn(3))
            {
                space.Rollback();
                free.UnionWith(taken);
            }
            else
            {
                space.Commit(commit);
            }
        }

        Assert.Equal(pages, space.PageCount);
        Assert.True(space.Allocate(1) >= pages);
    }

    [Fact]
    public void ACommitOfScatteredKeysTakesFewerWritesThanPages()
    {
        var world = new BTreeWorld(1, new BTreeOptions { Identity = 5, MapBytesMin = 1 << 26, BackgroundUpkeep = false });
        using BTreeStore store = world.Open();
        var random = new SeededRandom(7);
        for (int round = 0; round < 20; round++)
            PutScattered(store, random, 20_000);
        BTreeStatistics before = store.GetStatistics();
        Assert.True(before.FreePages * 5 > before.Pages, "a part of the file is free after large commits");
        int writes = 0;
        world.Files.BeforeOperation = operation => writes += operation.Kind == DiskOperationKind.Write ? 1 : 0;
        for (int round = 0; round < 100; round++)
            PutScattered(store, random, 64);
        BTreeStatistics after = store.GetStatistics();
        long pages = (after.CommitBytesWritten - before.CommitBytesWritten) / after.PageBytes;
        Assert.True(writes < pages / 2, $"{writes} writes of {pages} pages");
        Assert.True(after.Pages <= before.Pages + 8, "the file does not grow for it");
        world.Files.BeforeOperation = null;
        BTreeWorld.AssertSound(world.Files);
    }

    private static void PutScattered(BTreeStore store, SeededRandom random, int count)
    {
        using WriteTransaction transaction = store.BeginWrite();
        for (int i = 0; i < count; i++)
            transaction.Root.Put(BTreeWorld.Key($"{StableHash.Hash64(BitConverter.GetBytes(random.Next(200_000))):X16}"), new byte[100]);
        transaction.Commit();
    }

    private static FreeSpace NewSpace(uint pages, Func<uint, bool> isFree)
    {
        var layout = new PageLayout(4096, 1);
        List<ulong[]> chunks = [];
        uint free = 0;
        for (uint page = 0; page < pages; page++)
        {
            if (page % layout.ChunkPages == 0)
                chunks.Add(new ulong[layout.ChunkWords]);
            if (page % layout.ChunkPages < PageLayout.FirstRunPage || !isFree(page))
                continue;
            uint at = page % layout.ChunkPages;
            chunks[^1][at >> 6] |= 1UL << (int)(at & 63);
            free++;
        }

        return new FreeSpace(layout, chunk => chunks[(int)chunk], pages, free);
    }
}
