using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.SSTables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.SSTables;

/// <summary>Files of every format version are read for ever, and the pages under docs/formats show them as they are.</summary>
public sealed class SampleFileTests
{
    private readonly BlockCache _cache = new(new MemoryBudget(MemoryBudget.MinimumBytes));

    [Fact]
    public void ATableOfVersionOneIsRead()
    {
        var files = new MemoryFileSystem();
        files.SetBytes("/t", Sample("sstable-v1.sst"));
        SSTableReader reader = Read(files, "/t", 7, _cache);
        using SSTableIterator iterator = reader.CreateIterator(bypassCache: false);
        AssertSame(
            [Put("apple", 3, "red"), Put("apple", 1, "green"), Delete("apricot", 2), Expiring("banana", 4, "yellow", 1_800_000_000_000)],
            ReadAll(iterator));
        Assert.Equal(5UL, reader.Tombstones.Covering(Key("cherry"), 9));
        Assert.Equal(0UL, reader.Tombstones.Covering(Key("date"), 9));
        foreach (string key in new[] { "apple", "apricot", "banana" })
            Assert.True(reader.MayContain(StableHash.Hash64(Key(key))));
        Assert.Equal(Key("date"), reader.Properties.LargestKey);
        Assert.False(reader.Properties.LargestInclusive);
        Assert.Equal(1_700_000_000_000, reader.Properties.CreatedAtMs);
        reader.Release();
    }

    [Fact]
    public void ACompressedTableOfVersionOneIsRead()
    {
        var files = new MemoryFileSystem();
        files.SetBytes("/t", Sample("sstable-v1-lz4.sst"));
        SSTableReader reader = Read(files, "/t", 8, _cache);
        using SSTableIterator iterator = reader.CreateIterator(bypassCache: true);
        AssertSame(
            [.. Enumerable.Range(0, 100).Select(i => Put($"key{i:D4}", (ulong)i + 1, string.Concat(Enumerable.Repeat($"value{i}.", 5))))],
            ReadAll(iterator));
        reader.Release();
    }

    [Fact]
    public void AManifestOfVersionOneIsRead()
    {
        var files = new MemoryFileSystem();
        files.SetBytes("/db/CURRENT", Sample("manifest-v1/CURRENT"));
        files.SetBytes("/db/MANIFEST-00000001", Sample("manifest-v1/MANIFEST-00000001"));
        ManifestState state = ManifestLog.Load(files, "/db");
        ManifestTable table = Assert.Single(state.Tables);
        Assert.Equal((6, 2UL, 500L), (table.Level, table.Number, table.SizeBytes));
        Assert.Equal(Key("b"), table.Properties.LargestKey);
        Assert.Equal(new LogPosition(4096), state.FlushedPosition);
        Assert.Equal(2UL, state.LastSequence);
        Assert.Equal(3UL, state.NextFileNumber);
    }

    [Theory]
    [InlineData("sstable.md", "sstable-v1.sst")]
    [InlineData("manifest.md", "manifest-v1/MANIFEST-00000001")]
    public void TheFormatPageShowsTheSampleByteByByte(string page, string sample)
    {
        string text = File.ReadAllText(Path.Join(Root(), "docs", "formats", page));
        string block = text.Split("```hex\n")[1].Split("\n```")[0];
        var bytes = new List<byte>();
        foreach (string line in block.Split('\n'))
        {
            foreach (string part in line[6..53].Split(' ', StringSplitOptions.RemoveEmptyEntries))
                bytes.Add(byte.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        }

        Assert.Equal(Sample(sample), bytes);
    }

    private static byte[] Sample(string name) =>
        File.ReadAllBytes(Path.Join(Root(), "tests", "Kvasir.Storage.Tests", "Samples", name));

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Join(folder, "Kvasir.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("not inside the repository");
    }
}
