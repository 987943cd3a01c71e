using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;
using Kvasir.Storage.Tests.BTree;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>A mapped page that cannot be read is an exception, and what was read of it is never served.</summary>
public sealed class MappedPageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void AFileThatIsCutUnderItsMapIsAnExceptionOfTheReaderAndNotTheEndOfTheProcess()
    {
        (int exitCode, string output) = ChildProcess.Run(tracer: null, "cut-map", _folder);
        Assert.Equal(
            ["DiskFailedException", "CorruptionException", "kept", "DiskFailedException", "done"],
            output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(0, exitCode);
    }

    [Fact]
    public void AFaultOfSomebodyElsesMapStillEndsTheProcess()
    {
        (int exitCode, string output) = ChildProcess.Run(tracer: null, "foreign-map", _folder);
        Assert.StartsWith("1\n", output, StringComparison.Ordinal);
        Assert.Contains("AccessViolationException", output, StringComparison.Ordinal);
        Assert.NotEqual(0, exitCode);
    }

    [Fact]
    public void ReadersGoOnThroughTheFileAndAWriterThatMayHaveReadZerosDoesNotCommit()
    {
        var world = new BTreeWorld(5);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 2000; i++)
                transaction.Root.Put(BTreeWorld.Key($"{i:D5}"), new byte[50]);
            transaction.Commit();
        }

        using ReadTransaction reader = store.BeginRead();
        Assert.NotNull(reader.Root.Get("00001"u8));
        WriteTransaction writer = store.BeginWrite();
        writer.Root.Put("00001"u8, "new"u8);
        world.Files.FailMaps(BTreeWorld.File, 0, (int)world.Files.FileLength(BTreeWorld.File));

        Assert.Throws<DiskFailedException>(() => reader.Root.Get("00001"u8));
        Assert.Throws<DiskFailedException>(reader.EnsureReadable);
        Assert.Throws<DiskFailedException>(writer.Commit);
        using (ReadTransaction next = store.BeginRead())
        {
            for (int i = 0; i < 2000; i++)
                Assert.Equal(50, next.Root.Get(BTreeWorld.Key($"{i:D5}"))!.Length);
        }

        // Pages that are written anew must not be served from the cache that is in use now. Nobody may hold them back, or none would be.
        reader.Dispose();
        for (int round = 0; round < 20; round++)
        {
            byte[] value = BTreeWorld.Key($"round {round}");
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = 0; i < 2000; i += 7)
                    transaction.Root.Put(BTreeWorld.Key($"{i:D5}"), value);
                transaction.Commit();
            }

            using ReadTransaction again = store.BeginRead();
            for (int i = 0; i < 2000; i += 7)
                Assert.Equal(value, again.Root.Get(BTreeWorld.Key($"{i:D5}")));
        }

        Assert.Empty(store.Verify());
    }
}
