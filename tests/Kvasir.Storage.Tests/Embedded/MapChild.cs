using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>What only a process of its own can try: to read a mapped page that is not there.</summary>
internal static class MapChild
{
    public static int CutMap(string folder)
    {
        string path = Path.Combine(folder, "store");
        using TransactionalStore store = TransactionalStore.Open(path);
        store.Update(t =>
        {
            for (int i = 0; i < 5000; i++)
                t.Root.Put(BitConverter.GetBytes(i), new byte[100]);
            t.Root.Put("long"u8, new byte[1 << 20]);
        });
        using ReadTransaction reader = store.BeginRead();
        Walk(reader);
        byte[] kept = File.ReadAllBytes(path);

        using (FileStream file = File.OpenWrite(path))
            file.SetLength(8192);
        Tell(() => Walk(reader));
        Tell(() => store.View(t =>
        {
            Walk(t);
            return 0;
        }));

        // Whoever puts the pages back can read on, but not in the transaction that has met zeros.
        File.WriteAllBytes(path, kept);
        Tell(() => store.View(t =>
        {
            Walk(t);
            return 0;
        }), "kept");
        Tell(() => Walk(reader));
        Console.WriteLine("done");
        return 0;
    }

    public static unsafe int ForeignMap(string folder)
    {
        using TransactionalStore store = TransactionalStore.Open(Path.Combine(folder, "store"));
        store.Update(t => t.Root.Put("k"u8, "v"u8));
        Console.WriteLine(store.View(t => t.Root.Get("k"u8)!.Length));
        string path = Path.Combine(folder, "other");
        using FileStream file = File.Create(path);
        file.SetLength(1 << 20);
        file.Flush();
        nint start = LibC.Map(null, 1 << 20, LibC.ProtectRead, LibC.MapShared, (int)file.SafeFileHandle.DangerousGetHandle(), 0);
        file.SetLength(0);
        return ((byte*)start)[8192];
    }

    private static void Walk(ReadTransaction transaction)
    {
        var cursor = transaction.Root.OpenCursor();
        long sum = 0;
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
        {
            foreach (byte one in cursor.Value)
                sum += one;
        }

        transaction.EnsureReadable();
        if (sum != 0)
            throw new InvalidOperationException("not what was written");
    }

    private static void Tell(Action action, string? well = null)
    {
        try
        {
            action();
            Console.WriteLine(well ?? "read");
        }
        catch (StorageException exception)
        {
            Console.WriteLine(exception.GetType().Name);
        }
    }
}
