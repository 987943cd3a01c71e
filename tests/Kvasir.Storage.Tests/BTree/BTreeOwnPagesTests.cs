using System.Runtime.InteropServices;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Pages that the process itself has written, before they are read for the first time.</summary>
public sealed class BTreeOwnPagesTests
{
    private const int Count = 2000;
    private const int PageBytes = 4096;

    [Fact]
    public void TheyAreNotReadThroughTheFile()
    {
        BTreeWorld world = NewWorld();
        using BTreeStore store = world.Open();
        Write(store);
        int reads = 0;
        world.Files.BeforeOperation = operation => reads += operation.Kind == DiskOperationKind.Read ? 1 : 0;
        Assert.Equal(Count, ReadAll(store));
        Assert.Equal(0, reads);
    }

    [Fact]
    public void TheyAreCheckedAllTheSame()
    {
        BTreeWorld world = NewWorld();
        using BTreeStore store = world.Open();
        Write(store);
        long page = PageOf(world, Count / 2);
        world.Files.FlipBit(BTreeWorld.File, page + PageBytes - 6, 3);
        Assert.Equal(page, Assert.Throws<CorruptionException>(() => ReadAll(store)).Offset);
    }

    [Fact]
    public void OnePutInThePlaceOfAnotherIsNotTakenForIt()
    {
        BTreeWorld world = NewWorld();
        long page;
        byte[] before;
        using (BTreeStore store = world.Open())
        {
            Write(store);
            page = PageOf(world, Count / 2);
            before = world.Files.ReadAll(BTreeWorld.File)[(int)page..(int)(page + PageBytes)];
        }

        using BTreeStore reopened = world.Open();
        Write(reopened);
        long other = PageOf(world, Count / 3);
        Assert.NotEqual(page, other);
        using (IFile file = world.Files.Open(BTreeWorld.File, FileOpenMode.ReadWrite))
            file.Write(before, other);
        Assert.Equal(other, Assert.Throws<CorruptionException>(() => ReadAll(reopened)).Offset);
    }

    private static BTreeWorld NewWorld() => new(7, new BTreeOptions { Identity = 5, MapBytesMin = 1 << 21, BackgroundUpkeep = false });

    private static void Write(BTreeStore store)
    {
        using WriteTransaction transaction = store.BeginWrite();
        for (int i = 0; i < Count; i++)
            transaction.Root.Put(Key(i), new byte[100]);
        transaction.Commit();
    }

    /// <summary>Where the newest leaf that has the key begins.</summary>
    private static long PageOf(BTreeWorld world, int i)
    {
        byte[] bytes = world.Files.ReadAll(BTreeWorld.File);
        ulong newest = 0;
        long found = -1;
        for (int at = 2 * PageBytes; at < bytes.Length; at += PageBytes)
        {
            PageHeader header = MemoryMarshal.Read<PageHeader>(bytes.AsSpan(at));
            if (header.Kind == PageKind.Leaf && header.Transaction >= newest && bytes.AsSpan(at, PageBytes).IndexOf(Key(i)) >= 0)
                (newest, found) = (header.Transaction, at);
        }

        return found;
    }

    private static byte[] Key(int i) => BTreeWorld.Key($"key:{i:D8}");

    private static int ReadAll(BTreeStore store)
    {
        using ReadTransaction transaction = store.BeginRead();
        BTreeCursor cursor = transaction.Root.OpenCursor();
        int seen = 0;
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
            Assert.True(cursor.Key.SequenceEqual(Key(seen++)));
        return seen;
    }
}
