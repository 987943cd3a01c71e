using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Files of versions 1 and 2 are read for ever, and docs/formats/btree.md shows one byte by byte.</summary>
public sealed class BTreeSampleTests
{
    private const string Sample = "btree-v1.store";
    private const string SampleOfTwo = "btree-v2.store";

    [Fact]
    public void AFileOfVersionOneIsRead()
    {
        var world = new BTreeWorld(1);
        world.Files.WriteAll(BTreeWorld.File, Read(Sample));
        BTreeWorld.AssertSound(world.Files);
        using BTreeStore store = world.Open();
        using ReadTransaction reader = store.BeginRead();
        Assert.Equal(5UL, reader.Number);
        Assert.Equal("position 7"u8, reader.UserData);
        Assert.Equal("red"u8, reader.Root.Get("apple"u8)!);
        Assert.Equal(Long(), reader.Root.Get("long"u8)!);
        Assert.Equal("5"u8, reader.Root.FindBucket("numbers"u8)!.Get("five"u8)!);
        Assert.False(reader.Root.Contains("gone"u8));
    }

    [Fact]
    public void TheStoreStillWritesVersionOneByteForByte()
    {
        var world = new BTreeWorld(2, new BTreeOptions { Identity = 0x1122334455667788, MapBytesMin = 1 << 18, BackgroundUpkeep = false });
        using (BTreeStore store = world.Open())
        {
            using (WriteTransaction transaction = store.BeginWrite())
            {
                transaction.Root.Put("apple"u8, "red"u8);
                transaction.Root.Put("gone"u8, "soon"u8);
                transaction.Root.Put("long"u8, Long());
                transaction.Root.GetOrCreateBucket("numbers"u8).Put("five"u8, "5"u8);
                transaction.Commit();
            }

            using WriteTransaction second = store.BeginWrite();
            second.Root.Delete("gone"u8);
            second.UserData = "position 7"u8;
            second.Commit();
        }

        byte[] written = world.Files.ReadAll(BTreeWorld.File);
        string path = Path.Join(Root(), "tests", "Kvasir.Storage.Tests", "Samples", Sample);
        Assert.Equal(File.ReadAllBytes(path), written);
    }

    [Fact]
    public void AFileOfVersionTwoIsRead()
    {
        var world = new BTreeWorld(1);
        world.Files.WriteAll(BTreeWorld.File, Read(SampleOfTwo));
        BTreeWorld.AssertSound(world.Files);
        using BTreeStore store = world.Open();
        using ReadTransaction reader = store.BeginRead();
        Assert.Equal("red"u8, reader.Root.Get("apple"u8)!);
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(world.Scheduler.Clock.NowMs + 60_000), reader.Root.ExpiresAt("apple"u8));
        Assert.Equal(Long(), reader.Root.FindBucket("numbers"u8)!.Get("long"u8)!);
        Assert.NotNull(reader.Root.FindBucket("numbers"u8)!.ExpiresAt("long"u8));
        Assert.Null(reader.Root.ExpiresAt("stays"u8));
    }

    [Fact]
    public void TheStoreStillWritesVersionTwoByteForByte()
    {
        var world = new BTreeWorld(2, new BTreeOptions { Identity = 0x1122334455667788, MapBytesMin = 1 << 18, BackgroundUpkeep = false });
        using (BTreeStore store = world.Open())
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.Put("apple"u8, "red"u8, TimeSpan.FromMinutes(1));
            transaction.Root.Put("stays"u8, "here"u8);
            transaction.Root.GetOrCreateBucket("numbers"u8).Put("long"u8, Long(), TimeSpan.FromMinutes(2));
            transaction.Commit();
        }

        Assert.Equal(Read(SampleOfTwo), world.Files.ReadAll(BTreeWorld.File));
    }

    [Fact]
    public void TheFormatPageShowsTheSampleByteByByte()
    {
        string text = File.ReadAllText(Path.Join(Root(), "docs", "formats", "btree.md"));
        byte[] sample = Read(Sample);
        var shown = new byte[sample.Length];
        foreach (string line in text.Split("```hex\n")[1].Split("\n```")[0].Split('\n'))
        {
            int at = int.Parse(line.AsSpan(0, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            foreach (string part in line[6..53].Split(' ', StringSplitOptions.RemoveEmptyEntries))
                shown[at++] = byte.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        }

        Assert.Equal(sample, shown);
    }

    [Fact]
    public unsafe void AFileOfANewerVersionIsRefusedAsThat()
    {
        byte[] bytes = Read(Sample);
        var layout = new PageLayout(4096, 0x1122334455667788);
        for (uint page = 0; page < 2; page++)
        {
            bytes[(4096 * (int)page) + 40] = 3;
            fixed (byte* start = &bytes[4096 * (int)page])
                layout.Seal(start, page, 4 - page, 4096);
        }

        var world = new BTreeWorld(3);
        world.Files.WriteAll(BTreeWorld.File, bytes);
        Assert.Throws<FormatTooNewException>(world.Open);
        Assert.Single(BTreeVerifier.Verify(world.Files, BTreeWorld.File));
    }

    private static byte[] Long()
    {
        var value = new byte[3000];
        for (int i = 0; i < value.Length; i += 1000)
            value[i] = (byte)('A' + (i / 1000));
        return value;
    }

    private static byte[] Read(string name) => File.ReadAllBytes(Path.Join(Root(), "tests", "Kvasir.Storage.Tests", "Samples", name));

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Join(folder, "Kvasir.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("not inside the repository");
    }
}
