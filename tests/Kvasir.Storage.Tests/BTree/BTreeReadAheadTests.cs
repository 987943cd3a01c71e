using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Cursors of stores without a map, which have leaves read before they come to them.</summary>
public sealed class BTreeReadAheadTests
{
    private const int Count = 5000;

    private static readonly BTreeOptions s_options = new() { Identity = 5, UseMap = false, BackgroundUpkeep = false };

    [Fact]
    public void LeavesThatLieSideBySideAreReadTogether()
    {
        BTreeWorld world = NewWorld();
        using BTreeStore store = world.Open();
        int reads = 0;
        world.Files.BeforeOperation = operation => reads += operation.Kind == DiskOperationKind.Read ? 1 : 0;
        using ReadTransaction transaction = store.BeginRead();
        Assert.Equal(Count, CountFrom(transaction, out _));
        long pages = store.GetStatistics().Pages;
        Assert.True(pages > 150 && reads < pages / 8, $"{reads} reads of {pages} pages");
        reads = 0;
        Assert.Equal(Count, CountFrom(transaction, out _));
        Assert.Equal(0, reads);
    }

    [Fact]
    public void ALeafThatIsDamagedIsToldToWhoeverComesToItAndNotBefore()
    {
        BTreeWorld world = NewWorld();
        byte[] bytes = world.Files.ReadAll(BTreeWorld.File);
        int damaged = bytes.AsSpan().IndexOf(Key(Count / 2)) / 4096;
        world.Files.FlipBit(BTreeWorld.File, (damaged * 4096L) + 4090, 3);
        using BTreeStore store = world.Open();
        using ReadTransaction transaction = store.BeginRead();
        Assert.InRange(CountFrom(transaction, out StorageException? failure), (Count / 2) - 40, Count / 2);
        Assert.Equal(damaged * 4096L, Assert.IsType<CorruptionException>(failure).Offset);
    }

    [Fact]
    public void ADiskThatRefusesToReadAheadIsAskedAgainForThePage()
    {
        BTreeWorld world = NewWorld();
        using BTreeStore store = world.Open();
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind == DiskOperationKind.Read && operation.Length > 4096)
                throw new DiskFailedException("read", operation.Path, "planted");
        };
        using ReadTransaction transaction = store.BeginRead();
        Assert.Equal(Count, CountFrom(transaction, out StorageException? failure));
        Assert.Null(failure);
    }

    private static BTreeWorld NewWorld()
    {
        var world = new BTreeWorld(3, s_options);
        using BTreeStore store = world.Open();
        using WriteTransaction transaction = store.BeginWrite();
        for (int i = 0; i < Count; i++)
            transaction.Root.Put(Key(i), new byte[100]);
        transaction.Commit();
        return world;
    }

    private static byte[] Key(int i) => BTreeWorld.Key($"key:{i:D8}");

    private static int CountFrom(ReadTransaction transaction, out StorageException? failure)
    {
        int seen = 0;
        failure = null;
        try
        {
            BTreeCursor cursor = transaction.Root.OpenCursor();
            for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
                Assert.True(cursor.Key.SequenceEqual(Key(seen++)));
        }
        catch (StorageException exception)
        {
            failure = exception;
        }

        return seen;
    }
}
