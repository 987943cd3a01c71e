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
    public void LongRunsAreTakenBeforeSinglePages()
    {
        FreeSpace space = NewSpace(10 * Area, page => page % 97 is > 40 and < 60 || page % 4 == 0);
        for (uint i = 0; i < 19 * 40; i++)
            Assert.InRange(space.Allocate(1) % 97, 40u, 60u);
        space.Rollback();
        space.TakesLowest = true;
        Assert.Equal(4u, space.Allocate(1));
    }

    [Fact]
    public void WherePagesLieSideBySideNowhereTheFileGrowsByAShare()
    {
        FreeSpace space = NewSpace(40 * Area, page => page % 8 == 0);
        uint before = space.PageCount;
        uint[] taken = [.. Enumerable.Range(0, 200).Select(_ => space.Allocate(1))];
        Assert.Equal(Enumerable.Range((int)before, 200).Select(p => (uint)p), taken);
        space.Commit(2);

        // Pages of a commit are freed by the next, so that as many stay in use.
        var random = new SeededRandom(5);
        uint used = space.PageCount - space.FreePages;
        List<uint> live = [.. taken];
        for (ulong commit = 3; commit < 300; commit++)
        {
            space.Release(commit - 1);
            for (int i = 0; i < 100; i++)
            {
                int at = (int)random.Next(live.Count);
                space.FreeCommitted(live[at], 1);
                live[at] = space.Allocate(1, random.OneIn(2));
                live = [.. live.Distinct()];
            }

            space.ApplyFreed();
            space.Commit(commit);
        }

        Assert.InRange(space.PageCount, before + 200, (used * 6 / 5) + (3 * Area));
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
        space.TakesLowest = true;
        while (space.FreePages > 0)
            space.Allocate(1);
        uint end = space.PageCount;
        Assert.Equal(end, space.Allocate(1));
        space.Rollback();
        Assert.Equal((free, 64 * Area), (space.FreePages, space.PageCount));
    }

    [Fact]
    public void BranchesOfAFileWithoutRoomGetAnAreaAtItsEnd()
    {
        FreeSpace space = NewSpace(64 * Area + 100, page => false);
        HashSet<uint> branches = [];
        HashSet<uint> leaves = [];
        for (int i = 0; i < 300; i++)
        {
            branches.Add(space.Allocate(1, isBranch: true));
            leaves.Add(space.Allocate(1));
        }

        Assert.Single(branches.Select(p => p / Area).Distinct());
        Assert.Empty(branches.Select(p => p / Area).Intersect(leaves.Select(p => p / Area)));
        Assert.Equal(299u, branches.Max() - branches.Min());
        space.Rollback();
        Assert.Equal(((64 * Area) + 100, 0u), (space.PageCount, space.FreePages));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void NoPageIsTakenTwiceAndNoneIsLost(ulong seed)
    {
        // The last chunk, and its last area, are parts.
        var random = new SeededRandom(seed);
        uint pages = (uint)((2 * 32_256) + random.Next(3000) + 10);
        HashSet<uint> used = [0, 1, 32_256, 32_257, 64_512, 64_513];
        FreeSpace space = NewSpace(pages, page =>
        {
            bool isFree = random.Next(100) < (page / Area % 7 == seed % 7 ? 60 : (int)seed * 2);
            if (!isFree && page % 32_256 > 3)
                used.Add(page);
            return isFree;
        });
        int grown = 0;
        for (ulong commit = 2; commit < 40; commit++)
        {
            space.Release(commit - 1);
            space.TakesLowest = random.OneIn(4);
            uint before = space.PageCount;
            List<uint> taken = [];
            for (int i = random.Next(2000); i >= 0; i--)
            {
                uint page = space.Allocate(1, random.OneIn(2));
                Assert.True(used.Add(page), $"page {page} is not free");
                Assert.True(page < space.PageCount && page % 32_256 is not (2 or 3));
                taken.Add(page);
                if (random.OneIn(10))
                {
                    space.FreeOwn(page, 1);
                    used.Remove(page);
                    taken.RemoveAt(taken.Count - 1);
                }
            }

            if (random.OneIn(3))
            {
                space.Rollback();
                used.ExceptWith(taken);
                Assert.Equal(before, space.PageCount);
            }
            else
            {
                space.Commit(commit);
                grown += space.PageCount > before ? 1 : 0;
            }

            uint bitmaps = (uint)space.ChunksOf(space.PageCount) * 2;
            Assert.Equal(space.PageCount - bitmaps - space.FreePages, (uint)used.Count);
        }

        Assert.True(grown > 0);
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
