using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree;

/// <summary>Opens copy-on-write B+trees below memtables: the <c>btree</c> engine.</summary>
/// <param name="options">Null for those that suit the memory.</param>
/// <param name="tree">Null for the defaults.</param>
public sealed class BTreeEngineFactory(BufferOptions? options = null, BTreeOptions? tree = null) : IEngineFactory
{
    /// <summary>So small that a few hundred writes flush, grow the tree and shrink it: for simulations and tests.</summary>
    public static BTreeEngineFactory Tiny { get; } = new(
        new BufferOptions { MemTableBytes = 8 << 10, FrozenMemTablesMax = 8, CachesRows = false, TableBytes = 4 << 10 },
        new BTreeOptions { CachedPages = 8, UseMap = false });

    /// <summary>As small as <see cref="Tiny"/>, each setting drawn: what holds for one must hold for all.</summary>
    public static BTreeEngineFactory DrawTiny(SeededRandom random) => new(
        new BufferOptions { MemTableBytes = 2L << 10 << random.Next(6), FrozenMemTablesMax = random.Next(1, 5), CachesRows = random.OneIn(2) },
        new BTreeOptions { PageBytes = 4096 << random.Next(2), UseMap = random.OneIn(2), MapBytesMin = 1 << 20, CachedPages = random.Next(8, 64) });

    public string Name => "btree";

    public IStorageEngine Open(string folder, EngineEnvironment environment) => OpenOrdered(folder, environment);

    public string? FindMissing(IFileSystem files, string folder)
    {
        if (!files.FolderExists(folder))
            return folder;
        return files.FileExists(SortedTree.PathIn(folder)) ? null : SortedTree.PathIn(folder);
    }

    public LogPosition ReadFlushedPosition(IFileSystem files, string folder) =>
        FindMissing(files, folder) is null ? SortedTree.ReadMark(files, folder).Flushed : LogPosition.Zero;

    /// <summary>Of a new file. One that is there may have pages of another size.</summary>
    public EngineLimits LimitsIn(MemoryBudget memory) =>
        LimitsOf(new PageLayout((tree ?? new BTreeOptions()).PageBytes, identity: 0));

    private static EngineLimits LimitsOf(PageLayout layout) =>
        EngineLimits.None with { KeyBytesMax = layout.KeyBytesMax, ValueBytesMax = TreeRecord.ValueBytesMax(layout) };

    /// <summary>As <see cref="Open"/>, for callers that need the order of keys.</summary>
    public IOrderedEngine OpenOrdered(string folder, EngineEnvironment environment)
    {
        BufferOptions buffer = options ?? new BufferOptions
        {
            MemTableBytes = Math.Clamp(environment.Memory.TotalBytes / 16, 1L << 20, 256L << 20),
            FrozenMemTablesMax = 8,
            CachesRows = false,
        };
        return new BufferedEngine(SortedTree.Open(folder, environment, tree ?? new BTreeOptions()), environment, buffer);
    }
}
