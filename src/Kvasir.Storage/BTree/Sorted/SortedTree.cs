using Kvasir.Primitives;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>
/// A B+tree as what lies below an engine's memtables: of each key the newest version that was flushed. A flush is one transaction or,
/// when it is large, several; only the last one moves the position, and what a crash leaves of the others is written again by the replay of
/// the log, with higher sequence numbers than it has: <see cref="TreeMark.LastSequence"/> goes along with each.
/// </summary>
internal sealed class SortedTree : ISortedStore
{
    public const string FileName = "tree";

    // A transaction's pages are in memory until its end: of so many keys at most, and so many bytes of values.
    private const int KeysPerCommit = 4096;
    private const long BytesPerCommit = 16 << 20;
    private const int StepPages = 1024;
    private const int KeysPerStretch = 64 << 10;

    private readonly EngineEnvironment _environment;
    private readonly BTreeStore _store;
    private readonly BytesBuffer _record = new();
    private readonly WorkPace _pace;
    private TreeState _state;

    private SortedTree(EngineEnvironment environment, BTreeStore store, TreeMark mark)
    {
        _environment = environment;
        _store = store;
        _state = new TreeState(mark);
        _pace = new WorkPace(environment.Scheduler);
    }

    public LogPosition FlushedPosition => Volatile.Read(ref _state).Mark.Flushed;

    public StateDigest FlushedDigest => Volatile.Read(ref _state).Mark.Digest;

    public ulong FlushedSequence => Volatile.Read(ref _state).Mark.LastSequence;

    public int KeyBytesMax => _store.Layout.KeyBytesMax;

    public int ValueBytesMax => TreeRecord.ValueBytesMax(_store.Layout);

    public bool KeepsVersions => false;

    // Flushes rest between their transactions; the tree's own upkeep is small steps, each a job of its own.
    public Func<bool, double> WorkShare
    {
        set => _pace.Share = value;
    }

    public bool CompactionDue => false;

    public bool WaitsForSnapshots => false;

    public long CompactionDebtBytes => 0;

    public int LevelZeroTables => 0;

    public StorageException? StopReason => _store.StopReason;

    public bool TryResume() => _store.TryResume();

    public static string PathIn(string folder) => folder + "/" + FileName;

    public static SortedTree Open(string folder, EngineEnvironment environment, BTreeOptions options)
    {
        environment.Files.CreateFolder(folder);
        string path = PathIn(folder);
        BTreeStore store = BTreeStore.Open(environment.Files, path, environment.Scheduler, options);
        try
        {
            environment.Files.SyncFolder(folder);
            TreeMark mark;
            using (ReadTransaction read = store.BeginRead())
                mark = MarkOf(path, read.UserData, isNew: read.Root.IsEmpty);
            if (!mark.Owner.IsNone && !environment.Owner.IsNone && mark.Owner != environment.Owner)
                throw new StorageException($"{path} is {mark.Owner}, and not {environment.Owner}: it was put in the place of another");
            var tree = new SortedTree(environment, store, mark);
            if (mark.Owner.IsNone && !environment.Owner.IsNone)
            {
                using WriteTransaction transaction = store.BeginWrite();
                tree.CommitWith(transaction, mark with { Owner = environment.Owner });
            }

            return tree;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>What the file says of its log, without opening the store.</summary>
    public static TreeMark ReadMark(IFileSystem files, string folder)
    {
        using IFile file = files.Open(PathIn(folder), FileOpenMode.Read);
        return MarkOf(PathIn(folder), StoreFile.Read(file).Meta.User, isNew: true);
    }

    public ISortedView Acquire() => new SortedTreeView(_store);

    public void Flush(
        InternalIterator source, IReadOnlyList<RangeTombstone> tombstones, LogPosition position, ulong lastSequence, StateDigest digest = default)
    {
        source.SeekToFirst();
        bool isFirst = true;
        long begun = _pace.Begin();
        do
        {
            // Between transactions: nobody waits for the writer's place then.
            if (!isFirst)
                _pace.Rest(isFlush: true, ref begun);
            WriteTransaction transaction = _store.BeginWrite();
            try
            {
                // Behind the wait for others who write: an ingest may have moved it.
                TreeMark mark = Volatile.Read(ref _state).Mark with { LastSequence = Math.Max(lastSequence, FlushedSequence) };

                // What they hide of the flush itself is left out of the source.
                for (int i = 0; isFirst && i < tombstones.Count; i++)
                    transaction.Root.DeleteRange(tombstones[i].Start, tombstones[i].End ?? []);
                isFirst = false;
                long keys = transaction.Root.IsEmpty ? 0 : mark.Keys;
                mark = mark with { Keys = Math.Max(keys + Put(transaction, source), 0) };
                if (!source.Valid)
                    mark = mark with { Flushed = position, Digest = digest };
                CommitWith(transaction, mark);
            }
            finally
            {
                transaction.Dispose();
            }
        }
        while (source.Valid);
    }

    public bool RunCompaction(Func<ulong[]> snapshots, CancellationToken cancellation = default) => false;

    public bool DropCovered(Func<ulong[]> snapshots) => false;

    public void NoteOldestSnapshot(ulong oldest)
    {
    }

    public void CompactRange(byte[]? start, byte[]? end, Func<ulong[]> snapshots, Action? refresh = null, CancellationToken cancellation = default)
    {
        long horizonMs = _environment.ExpiryHorizonMs;
        var expired = new List<byte[]>();
        for (byte[]? next = start ?? []; next is not null;)
        {
            cancellation.ThrowIfCancellationRequested();
            expired.Clear();
            next = FindExpired(next, end, horizonMs, expired);
            if (expired.Count != 0)
                DeleteExpired(expired, horizonMs);
        }

        // The engine's own view is a reader, too.
        _store.Shrink(StepPages, refresh, cancellation);
    }

    public void Checkpoint(string folder, CancellationToken cancellation = default)
    {
        _environment.Files.CreateFolder(folder);
        _store.Copy(_environment.Files, PathIn(folder), cancellation);
    }

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> sorted, ulong sequence)
    {
        using IEnumerator<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows = sorted.GetEnumerator();
        byte[]? first = null, last = null;
        long committed = 0;
        try
        {
            bool isThere = rows.MoveNext();
            while (isThere)
            {
                using WriteTransaction transaction = _store.BeginWrite();
                long bytes = 0;
                int keys = 0;
                byte[] end = [];
                for (; isThere && keys < KeysPerCommit && bytes < BytesPerCommit; keys++, isThere = rows.MoveNext())
                {
                    (ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value) = rows.Current;
                    PutOne(transaction, key.Span, new Trailer(sequence, ValueKind.Value), expiresAtMs: 0, value.Span);
                    bytes += value.Length;
                    end = key.ToArray();
                    first ??= end;
                }

                TreeMark mark = Volatile.Read(ref _state).Mark;
                CommitWith(transaction, mark with { LastSequence = Math.Max(sequence, mark.LastSequence), Keys = mark.Keys + keys });
                last = end;
                committed += keys;
            }
        }
        catch when (last is not null)
        {
            TakeBack(first!, last, committed);
            throw;
        }
    }

    public SortedStoreStatistics GetStatistics()
    {
        BTreeStatistics tree = _store.GetStatistics();
        return new SortedStoreStatistics
        {
            // The file may be longer than its last commit says, until nobody can look behind that.
            DiskBytes = _store.FileBytes,
            FlushBytesWritten = tree.CommitBytesWritten,
            CompactionBytesWritten = tree.UpkeepBytesWritten,
            EntryCount = Volatile.Read(ref _state).Mark.Keys,
            CacheBytes = tree.CacheBytes,
            CacheHits = tree.CacheHits,
            CacheMisses = tree.CacheMisses,
            TreePages = new TreePageStatistics
            {
                PageBytes = tree.PageBytes,
                Pages = tree.Pages,
                FreePages = tree.FreePages,
                HeldPages = tree.HeldPages,
                Depth = tree.Levels,
                Readers = tree.Readers,
                OldestReaderLag = (long)(tree.Transaction - Math.Min(tree.OldestReader, tree.Transaction)),
            },
        };
    }

    public void Dispose() => _store.Dispose();

    /// <summary>Puts and deletes until there is enough for one commit; how many keys there are more.</summary>
    private long Put(WriteTransaction transaction, InternalIterator source)
    {
        long bytes = 0, added = 0;
        for (int keys = 0; source.Valid && keys < KeysPerCommit && bytes < BytesPerCommit; source.Next(), keys++)
        {
            bool was = transaction.Root.Contains(source.UserKey);
            if (source.Trailer.Kind == ValueKind.Tombstone)
            {
                if (was)
                    transaction.Root.Delete(source.UserKey);
                added -= was ? 1 : 0;
                continue;
            }

            PutOne(transaction, source.UserKey, source.Trailer, source.ExpiresAtMs, source.Value);
            added += was ? 0 : 1;
            bytes += source.Value.Length;
        }

        return added;
    }

    /// <summary>Keys whose deadline is behind the horizon, of the next stretch; returns where the one after it begins, null at the end.</summary>
    private byte[]? FindExpired(byte[] start, byte[]? end, long horizonMs, List<byte[]> expired)
    {
        // A stretch at a time: a reader that stays keeps the pages of all commits since.
        using ReadTransaction read = _store.BeginRead();
        Trees.BTreeCursor cursor = read.Root.OpenCursor();
        bool isThere = cursor.Seek(start);
        for (int keys = 0; isThere && (end is null || cursor.Key.SequenceCompareTo(end) < 0); keys++, isThere = cursor.Next())
        {
            if (keys == KeysPerStretch || expired.Count == KeysPerCommit)
                return cursor.Key.ToArray();
            if (IsExpired(cursor.Value, horizonMs))
                expired.Add(cursor.Key.ToArray());
        }

        return null;
    }

    private void DeleteExpired(List<byte[]> keys, long horizonMs)
    {
        using WriteTransaction transaction = _store.BeginWrite();
        transaction.IsUpkeep = true;
        TreeMark mark = Volatile.Read(ref _state).Mark;
        long deleted = 0;
        foreach (byte[] key in keys)
        {
            // A flush may have put another value there since.
            if (!transaction.Root.TryGet(key, out ReadOnlySpan<byte> record) || !IsExpired(record, horizonMs))
                continue;
            transaction.Root.Delete(key);
            deleted++;
        }

        CommitWith(transaction, mark with { Keys = Math.Max(mark.Keys - deleted, 0) });
    }

    private static bool IsExpired(ReadOnlySpan<byte> record, long horizonMs) =>
        TreeRecord.TryRead(record, out _, out long expiresAtMs, out _) && expiresAtMs != 0 && expiresAtMs <= horizonMs;

    /// <summary>The parts of an ingest that are committed, of which a later one failed: they overlap nothing else.</summary>
    private void TakeBack(byte[] first, byte[] last, long keys)
    {
        try
        {
            using WriteTransaction transaction = _store.BeginWrite();
            TreeMark mark = Volatile.Read(ref _state).Mark;
            transaction.Root.DeleteRange(first, last);
            transaction.Root.Delete(last);
            CommitWith(transaction, mark with { Keys = Math.Max(mark.Keys - keys, 0) });
        }
        catch (StorageException)
        {
            // The first failure is the one to tell.
        }
    }

    private void PutOne(WriteTransaction transaction, ReadOnlySpan<byte> key, Trailer trailer, long expiresAtMs, ReadOnlySpan<byte> value)
    {
        _record.ClearAndTrim(1 << 20);
        TreeRecord.Write(_record, trailer, expiresAtMs, value);
        transaction.Root.Put(key, _record.WrittenSpan);
    }

    private void CommitWith(WriteTransaction transaction, TreeMark mark)
    {
        SetMark(transaction, mark);
        transaction.Commit();
        Volatile.Write(ref _state, new TreeState(mark));
    }

    private static void SetMark(WriteTransaction transaction, TreeMark mark)
    {
        Span<byte> bytes = stackalloc byte[TreeMark.Bytes];
        mark.Write(bytes);
        transaction.UserData = bytes;
    }

    /// <summary>Throws where the user data of a commit is none.</summary>
    public static TreeMark MarkOf(string path, ReadOnlySpan<byte> bytes, bool isNew)
    {
        if (bytes.IsEmpty && isNew)
            return default;
        return TreeMark.TryRead(bytes, out TreeMark mark) ? mark : throw new CorruptionException(path, 0, "it is a store of a program's own, and no engine's tree");
    }

    /// <summary>So that it is read and replaced whole.</summary>
    private sealed record TreeState(TreeMark Mark);
}
