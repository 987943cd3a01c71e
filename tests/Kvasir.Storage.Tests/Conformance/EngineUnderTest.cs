using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>
/// What the suite must know of an engine; whether it keeps an order it sees by itself. Another engine is another entry of
/// <see cref="All"/>, and nothing else.
/// </summary>
internal sealed record EngineUnderTest
{
    public static IReadOnlyList<EngineUnderTest> All { get; } =
    [
        new()
        {
            Tiny = new LsmEngineFactory(LsmOptions.Tiny),
            Draw = static random => new LsmEngineFactory(LsmOptions.DrawTiny(random)),
            Verify = static (files, folder) => TableVerifier.Verify(files, folder),
        },
        new()
        {
            Tiny = new HashLogEngineFactory(HashLogOptions.Tiny),
            Draw = static random => new HashLogEngineFactory(HashLogOptions.DrawTiny(random)),
            Verify = static (files, folder) => LogVerifier.Verify(files, folder),
            CanBeMadeAnew = static path => path.EndsWith(".hint", StringComparison.Ordinal),
        },
        new()
        {
            Tiny = new BTreeEngineFactory(
                new BufferOptions { MemTableBytes = 8 << 10, CachesRows = false }, new BTreeOptions { MapBytesMin = 1 << 17 }),
            Draw = DrawTree,
            Verify = static (files, folder) => TreeVerifier.Verify(files, folder),
            CanBeMadeAnew = static path => path.EndsWith(".lock", StringComparison.Ordinal),
            IsInterruptible = false,
        },
    ];

    public string Name => Tiny.Name;

    /// <summary>With settings so small that a few hundred writes flush and compact.</summary>
    public required IEngineFactory Tiny { get; init; }

    /// <summary>As small, each setting drawn: what holds for one must hold for all.</summary>
    public required Func<SeededRandom, IEngineFactory> Draw { get; init; }

    /// <summary>What is damaged in a folder that nobody has open.</summary>
    public required Func<IFileSystem, string, IReadOnlyList<DamageFinding>> Verify { get; init; }

    /// <summary>Files that repeat what others say: one that is damaged or gone is made anew, and nothing is refused.</summary>
    public Func<string, bool> CanBeMadeAnew { get; init; } = static _ => false;

    /// <summary>While its background work writes data files others can read and write: none of its locks is held then.</summary>
    public bool IsInterruptible { get; init; } = true;

    public static EngineUnderTest Named(string name) => All.Single(e => e.Name == name);

    private static BTreeEngineFactory DrawTree(SeededRandom random) => new(
        new BufferOptions { MemTableBytes = 2L << 10 << random.Next(6), FrozenMemTablesMax = random.Next(1, 5), CachesRows = random.OneIn(2) },
        new BTreeOptions { PageBytes = 4096 << random.Next(2), UseMap = random.OneIn(2), MapBytesMin = 1 << 20, CachedPages = random.Next(8, 64) });
}
