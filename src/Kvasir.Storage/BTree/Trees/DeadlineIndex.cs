using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// The entries of all buckets that expire, by their deadlines, so that what has expired is found without a look at what has not. The value
/// says which entry it is: the names of the buckets that lead to it, and its key. Every entry with a deadline is here; one of a bucket that
/// was deleted stays until the bucket's pages are freed, or its time comes.
/// </summary>
internal sealed unsafe class DeadlineIndex(WriteTransaction transaction, TreeRoot root)
{
    public const long NeverMs = long.MaxValue;

    private readonly List<byte[]> _forgotten = [];
    private readonly List<(byte[] Deadline, byte[] Entry)> _added = [];
    private uint _given;

    public WritableBucket Index { get; } = new(transaction, parent: null, name: [], root);

    /// <summary>The least deadline; <see cref="NeverMs"/> when nothing expires.</summary>
    public long FirstMs
    {
        get
        {
            BTreeCursor cursor = Index.OpenCursor();
            return cursor.SeekFirst() ? Deadline.AtMs(cursor.Key) : NeverMs;
        }
    }

    /// <summary>The transaction has deleted what has expired.</summary>
    public bool HasSwept { get; private set; }

    /// <summary>A deadline that no other entry has: no two transactions that commit begin at the same commit.</summary>
    public void WriteNext(Span<byte> header, long expiresAtMs, bool isOfRun) =>
        Deadline.Write(header, expiresAtMs, transaction.State.Transaction, checked(_given++), isOfRun);

    /// <summary>Takes effect with <see cref="Settle"/>: another tree is being changed.</summary>
    public void Add(ReadOnlySpan<byte> deadline, WritableBucket bucket, ReadOnlySpan<byte> key) => _added.Add((deadline.ToArray(), PathTo(bucket, key)));

    /// <summary>The entry goes. As with <see cref="Add"/>.</summary>
    public void Forget(byte* cell) => _forgotten.Add(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), Deadline.KeyBytes).ToArray());

    /// <summary>The other tree is whole again.</summary>
    public void Settle()
    {
        if (_forgotten.Count == 0 && _added.Count == 0)
            return;

        // The index changes as a bucket does, and comes back here.
        byte[][] forgotten = [.. _forgotten];
        (byte[] Deadline, byte[] Entry)[] added = [.. _added];
        _forgotten.Clear();
        _added.Clear();
        foreach (byte[] deadline in forgotten)
            Index.Delete(deadline);
        foreach ((byte[] deadline, byte[] entry) in added)
            Index.Put(deadline, entry);
    }

    /// <summary>Deletes what has expired, so many entries at most. False when there was nothing.</summary>
    public bool Sweep(int entries)
    {
        BTreeCursor cursor = Index.OpenCursor();
        for (int left = entries; left > 0 && cursor.SeekFirst() && Deadline.AtMs(cursor.Key) <= transaction.NowMs; left--)
        {
            byte[] deadline = cursor.Key.ToArray();
            byte[] entry = cursor.Value.ToArray();
            if (!Remove(entry, deadline))
                Check.That(Index.Delete(deadline));
            HasSwept = true;
        }

        return HasSwept;
    }

    /// <summary>False where the entry has gone, with its bucket or all that lay beside it.</summary>
    private bool Remove(ReadOnlySpan<byte> entry, ReadOnlySpan<byte> deadline)
    {
        WritableBucket bucket = transaction.Root;
        while (true)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(entry);
            ReadOnlySpan<byte> name = entry.Slice(sizeof(ushort), length);
            entry = entry[(sizeof(ushort) + length)..];
            if (entry.IsEmpty)
                return bucket.RemoveExpiring(name, deadline);
            if (!bucket.HasBucket(name))
                return false;
            bucket = bucket.FindBucket(name)!;
        }
    }

    private static byte[] PathTo(WritableBucket bucket, ReadOnlySpan<byte> key)
    {
        List<byte[]> path = [];
        bucket.AppendPath(path);
        path.Add(key.ToArray());
        var bytes = new byte[path.Sum(static name => sizeof(ushort) + name.Length)];
        Span<byte> rest = bytes;
        foreach (byte[] name in path)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(rest, (ushort)name.Length);
            name.CopyTo(rest[sizeof(ushort)..]);
            rest = rest[(sizeof(ushort) + name.Length)..];
        }

        return bytes;
    }
}
