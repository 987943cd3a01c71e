using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>The keys of one commit, each with its one version.</summary>
internal sealed class SortedTreeIterator(ReadTransaction reader, SortedTreeView view) : InternalIterator
{
    private readonly BTreeCursor _cursor = reader.Root.OpenCursor();

    public override bool Valid => _cursor.IsValid;

    public override ReadOnlySpan<byte> UserKey => _cursor.Key;

    public override Trailer Trailer
    {
        get
        {
            Read(out Trailer trailer, out _);
            return trailer;
        }
    }

    public override ReadOnlySpan<byte> Value => Read(out _, out _);

    public override long ExpiresAtMs
    {
        get
        {
            Read(out _, out long expiresAtMs);
            return expiresAtMs;
        }
    }

    public override void SeekToFirst() => _cursor.SeekFirst();

    public override void SeekToLast() => _cursor.SeekLast();

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        // Versions of a key come by descending trailer: a smaller one than is asked for lies behind.
        if (_cursor.Seek(userKey) && _cursor.Key.SequenceEqual(userKey) && Trailer.Packed > trailer.Packed)
            _cursor.Next();
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        if (_cursor.SeekForPrevious(userKey) && _cursor.Key.SequenceEqual(userKey) && Trailer.Packed < trailer.Packed)
            _cursor.Previous();
    }

    public override void Next() => _cursor.Next();

    public override void Previous() => _cursor.Previous();

    protected override void Dispose(bool disposing) => reader.Dispose();

    private ReadOnlySpan<byte> Read(out Trailer trailer, out long expiresAtMs) =>
        TreeRecord.TryRead(_cursor.Value, out trailer, out expiresAtMs, out ReadOnlySpan<byte> value) ? value : throw view.NoRecord();
}
