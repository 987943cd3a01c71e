using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>
/// How deep a tree is follows from the layout of its pages, from how full they are, and from how long separators are: computed, and compared
/// with trees of sizes that fit here.
/// </summary>
public sealed class BTreeDepthTests
{
    private const int KeyBytes = 16;
    private const int ValueBytes = 100;

    // An engine's record says which version it is, and when it expires (docs/formats/btree-engine.md).
    private const int RecordHeaderBytes = 16;
    private const long Keys = 100_000_000;

    private static readonly PageLayout s_layout = new(PageLayout.PageBytesMin, identity: 0);

    // Splits in the middle leave pages between half full and full, ln 2 on the average (Yao 1978).
    private static readonly double s_scatteredFill = Math.Log(2);

    [Fact]
    public void AHundredMillionKeysAreAtMostFourPagesDeep()
    {
        Assert.Equal(4, Depth(Keys, KeyBytes, ValueBytes, SeparatorBytes(Keys), s_scatteredFill));
        Assert.Equal(4, Depth(Keys, KeyBytes, RecordHeaderBytes + ValueBytes, SeparatorBytes(Keys), s_scatteredFill));

        // In order pages are filled; then even whole keys as separators do.
        Assert.Equal(4, Depth(Keys, KeyBytes, RecordHeaderBytes + ValueBytes, KeyBytes, fill: 1));
    }

    /// <summary>What the formula takes for given, of keys that are put in any order.</summary>
    [Fact]
    public void PagesAreAsFullAndSeparatorsAsShortAsTheFormulaSays()
    {
        const int Count = 100_000;
        (BTreeStatistics statistics, List<InspectedPart> pages) = Fill(Count, KeyBytes, ValueBytes, inOrder: false);
        double leafFill = pages.Where(p => p.Kind == "leaf").Average(p => Number(p, "bytes used")) / s_layout.Usable;
        List<InspectedPart> branches = [.. pages.Where(p => p.Kind == "branch")];
        double separators = branches.Sum(p => Number(p, "bytes used")) / branches.Sum(p => Number(p, "cells"))
            - NodePage.BranchCellHeader - NodePage.SlotBytes;
        Assert.InRange(leafFill, s_scatteredFill - 0.03, 1);
        Assert.InRange(separators, 1, SeparatorBytes(Count));
        Assert.Equal(Depth(Count, KeyBytes, ValueBytes, SeparatorBytes(Count), s_scatteredFill), statistics.Levels);
    }

    [Fact]
    public void PagesAreFullWhereKeysComeInOrder()
    {
        (BTreeStatistics statistics, List<InspectedPart> pages) = Fill(50_000, KeyBytes, ValueBytes, inOrder: true);
        Assert.InRange(pages.Where(p => p.Kind == "leaf").Average(p => Number(p, "bytes used")) / s_layout.Usable, 0.95, 1);
        Assert.Equal(Depth(50_000, KeyBytes, ValueBytes, KeyBytes, fill: 1), statistics.Levels);
    }

    /// <summary>Long keys that differ at their ends alone have few children a branch: trees that are deep with few keys.</summary>
    [Theory]
    [InlineData(10, 100)]
    [InlineData(100, 100)]
    [InlineData(1_000, 100)]
    [InlineData(10_000, 100)]
    [InlineData(400, 800)]
    [InlineData(3_000, 800)]
    [InlineData(9_000, 800)]
    public void TheFormulaHoldsForTreesOfAnyDepth(int count, int keyBytes)
    {
        const int Value = 800;
        (BTreeStatistics statistics, _) = Fill(count, keyBytes, Value, inOrder: true);
        Assert.Equal(Depth(count, keyBytes, Value, keyBytes, fill: 1), statistics.Levels);
    }

    /// <summary>Pages from the root to an entry, where every page but the root is full to this part.</summary>
    private static int Depth(long keys, int keyBytes, int valueBytes, double separatorBytes, double fill)
    {
        double room = s_layout.Usable * fill;
        long entries = (long)(room / (NodePage.LeafCellHeader + keyBytes + valueBytes + NodePage.SlotBytes));

        // The first child of a branch needs no separator.
        const int BareCellBytes = NodePage.BranchCellHeader + NodePage.SlotBytes;
        long children = 1 + (long)((room - BareCellBytes) / (BareCellBytes + separatorBytes));
        int depth = 1;
        for (long pages = Pages(keys, entries); pages > 1; pages = Pages(pages, children))
            depth++;
        return depth;

        static long Pages(long cells, long each) => (cells + each - 1) / each;
    }

    /// <summary>Of keys whose first bytes are as good as random: enough to tell neighbours apart, and one for those that are closer.</summary>
    private static double SeparatorBytes(long keys) => Math.Ceiling(Math.Log(keys, 256)) + 1;

    private static (BTreeStatistics Statistics, List<InspectedPart> Pages) Fill(int count, int keyBytes, int valueBytes, bool inOrder)
    {
        const int Together = 10_000;
        var world = new BTreeWorld(1, new BTreeOptions { BackgroundUpkeep = false });
        var random = new SeededRandom(7);
        var key = new byte[keyBytes];
        var value = new byte[valueBytes];
        BTreeStatistics statistics;
        using (BTreeStore store = world.Open())
        {
            for (int done = 0; done < count;)
            {
                using WriteTransaction transaction = store.BeginWrite();
                for (int i = 0; i < Together && done < count; i++, done++)
                {
                    if (inOrder)
                        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(key.AsSpan(keyBytes - 8), done);
                    else
                        random.NextBytes(key);
                    transaction.Root.Put(key, value);
                }

                transaction.Commit();
            }

            statistics = store.GetStatistics();
        }

        return (statistics, [.. BTreeInspector.Inspect(world.Files, BTreeWorld.File)]);
    }

    private static double Number(InspectedPart part, string name) =>
        double.Parse(part.Fields.Single(f => f.Key == name).Value, CultureInfo.InvariantCulture);
}
