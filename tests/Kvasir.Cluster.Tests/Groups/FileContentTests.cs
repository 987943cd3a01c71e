using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>The files of a snapshot, cut into chunks.</summary>
public sealed class FileContentTests
{
    private const string Folder = "/outgoing";

    [Fact]
    public void EveryChunkIsTheSameWheneverItIsMade()
    {
        for (ulong seed = 0; seed < 30; seed++)
        {
            var random = new SeededRandom(seed);
            SimulatedFileSystem files = Disk(random);
            var all = new List<byte>();
            for (int i = random.Next(1, 12); i > 0; i--)
            {
                // Empty ones, those that end where a chunk does, and such as have several.
                byte[] bytes = new byte[random.Next(4) switch { 0 => 0, 1 => SnapshotContent.ChunkBytes, 2 => random.Next(3 * SnapshotContent.ChunkBytes), _ => random.Next(1000) }];
                random.NextBytes(bytes);
                files.WriteAll($"{Folder}/{i:d6}.sst", bytes);
            }

            foreach (string name in files.ListFiles(Folder))
                all.AddRange(files.ReadAll(Folder + "/" + name));
            using var content = new FileContent(files, Folder, "lsm");
            List<byte[]> chunks = [];
            bool isLast = false;
            while (!isLast)
                chunks.Add(Chunk(content, (ulong)chunks.Count, out isLast));
            Assert.Equal(all, chunks.Skip(1).SelectMany(c => c));
            Assert.True(SnapshotCodec.TryReadFiles(chunks[0], out string engine, out List<SnapshotFile> table));
            Assert.Equal("lsm", engine);
            Assert.Equal(files.ListFiles(Folder), table.Select(f => f.Name));
            for (int i = 0; i < 10; i++)
            {
                int again = random.Next(chunks.Count);
                content.GoTo((ulong)again);
                Assert.Equal(chunks[again], Chunk(content, (ulong)again, out isLast));
                Assert.Equal(again == chunks.Count - 1, isLast);
            }
        }
    }

    [Fact]
    public void ThousandsOfFilesAreNamedByOneMessage()
    {
        SimulatedFileSystem files = Disk(new SeededRandom(1));
        for (int i = 0; i < 10_000; i++)
            files.WriteAll($"{Folder}/{i:d6}.sst", [(byte)i]);
        using var content = new FileContent(files, Folder, "lsm");
        byte[] table = Chunk(content, 0, out bool isLast);
        Assert.False(isLast);
        Assert.InRange(table.Length, 100_000, FileContent.TableBytesMax);
        Assert.True(SnapshotCodec.TryReadFiles(table, out _, out List<SnapshotFile> read));
        Assert.Equal(10_000, read.Count);
        Assert.Equal(10_000, Chunk(content, 1, out isLast).Length);
        Assert.True(isLast);
    }

    /// <summary>Rows are sent instead.</summary>
    [Fact]
    public void MoreFilesThanOneMessageNamesAreNotSent()
    {
        SimulatedFileSystem files = Disk(new SeededRandom(1));
        string name = new('a', 240);
        for (int i = 0; i < 5_000; i++)
            files.WriteAll($"{Folder}/{name}{i}", []);
        Assert.Throws<StorageException>(() => new FileContent(files, Folder, "lsm"));
    }

    private static SimulatedFileSystem Disk(SeededRandom random)
    {
        var files = new SimulatedFileSystem(random);
        files.CreateFolder(Folder);
        return files;
    }

    private static byte[] Chunk(FileContent content, ulong number, out bool isLast)
    {
        var bytes = new BytesBuffer();
        isLast = content.Add(bytes, number);
        return bytes.WrittenSpan.ToArray();
    }
}
