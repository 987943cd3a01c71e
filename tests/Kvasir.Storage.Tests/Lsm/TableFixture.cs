using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Tests.Lsm;

/// <summary>What tests of tables need again and again.</summary>
internal static class TableFixture
{
    public const string Folder = "/db";

    public static byte[] Key(string text) => Encoding.UTF8.GetBytes(text);

    public static Version Put(string key, ulong sequence, string value) =>
        new(Key(key), new Trailer(sequence, ValueKind.Value), Key(value));

    public static Version Delete(string key, ulong sequence) => new(Key(key), new Trailer(sequence, ValueKind.Tombstone), []);

    public static Version Expiring(string key, ulong sequence, string value, long deadline) =>
        new(Key(key), new Trailer(sequence, ValueKind.ExpiringValue), Key(value), deadline);

    public static TableProperties Write(
        IFileSystem files, string path, ulong number, IEnumerable<Version> versions, SSTableWriterOptions? options = null,
        params RangeTombstone[] tombstones)
    {
        using var writer = new SSTableWriter(files, path, number, options ?? new SSTableWriterOptions());
        foreach (Version version in versions)
            writer.Add(version.Key, version.Trailer, version.ExpiresAtMs, version.Value);
        return writer.Finish(tombstones);
    }

    public static SSTableReader Read(IFileSystem files, string path, ulong number, BlockCache cache) =>
        SSTableReader.Open(files.Open(path, FileOpenMode.Read), number, cache.NewFileId(), cache, verify: true);

    /// <summary>Small tables, so that little data reaches many of them.</summary>
    public static LsmOptions SmallOptions => new()
    {
        BlockBytes = 256,
        RestartInterval = 4,
        TableBytes = 2000,
        LevelBaseBytes = 8000,
        LevelSizeMultiplier = 4,
        LevelCount = 5,
        CompressFromLevel = 3,
    };

    /// <summary>So small that a hundred keys fill several levels.</summary>
    public static LsmOptions DeepOptions => SmallOptions with
    {
        BlockBytes = 128,
        TableBytes = 400,
        LevelBaseBytes = 600,
        LevelSizeMultiplier = 2,
        LevelCount = 6,
        CompressFromLevel = 4,
    };

    public static List<Version> ReadAll(InternalIterator iterator)
    {
        var all = new List<Version>();
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            all.Add(Current(iterator));
        return all;
    }

    public static List<Version> ReadAllBackward(InternalIterator iterator)
    {
        var all = new List<Version>();
        for (iterator.SeekToLast(); iterator.Valid; iterator.Previous())
            all.Add(Current(iterator));
        all.Reverse();
        return all;
    }

    public static Version Current(InternalIterator iterator) =>
        new(iterator.UserKey.ToArray(), iterator.Trailer, iterator.Value.ToArray(), iterator.ExpiresAtMs);

    public static void AssertSame(IReadOnlyList<Version> expected, IReadOnlyList<Version> found) =>
        Assert.Equal(expected.Select(v => v.ToString()), found.Select(v => v.ToString()));

    /// <summary>Random versions of few keys that share prefixes, sorted, without doubles.</summary>
    public static List<Version> RandomVersions(SeededRandom random, int count, int keys, int valueBytesMax)
    {
        var set = new SortedSet<Version>();
        for (int i = 0; i < count; i++)
        {
            byte[] key = Key(random.OneIn(3) ? $"user:{random.Next(keys)}" : $"user:{random.Next(keys):D9}:field");
            if (random.OneIn(5))
                key = key[..random.Next(key.Length + 1)];
            var kind = (ValueKind)random.Next(3);
            var value = new byte[kind == ValueKind.Tombstone ? 0 : random.Next(valueBytesMax)];
            random.NextBytes(value);
            if (random.OneIn(2))
                Array.Fill(value, (byte)'x');
            set.Add(new Version(key, new Trailer((ulong)i + 1, kind), value, kind == ValueKind.ExpiringValue ? random.NextInt64(1L << 45) : 0));
        }

        return [.. set];
    }
}
