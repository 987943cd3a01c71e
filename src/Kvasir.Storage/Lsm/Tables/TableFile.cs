using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// One SSTable as the sets know it: what the manifest says of it, and its reader while that is open. The sets that name
/// it hold a reference each; the file is deleted after the last one went.
/// </summary>
internal sealed class TableFile
{
    private readonly TableCache _cache;
    private ReferenceCount _references;
    private SSTableReader? _reader;
    private bool _covered;

    public TableFile(ulong number, long sizeBytes, TableProperties properties, TableCache cache)
    {
        Number = number;
        SizeBytes = sizeBytes;
        Properties = properties;
        Bounds = new KeyBounds(properties.SmallestKey, properties.LargestKey, properties.LargestInclusive);
        SmallestSequence = properties.SmallestSequence;
        HasRangeTombstones = properties.RangeTombstoneCount > 0;
        _cache = cache;
        FileId = cache.NewFileId();
    }

    public ulong Number { get; }

    public long SizeBytes { get; }

    public TableProperties Properties { get; }

    public KeyBounds Bounds { get; }

    public ulong FileId { get; }

    public bool HasRangeTombstones { get; }

    public ulong SmallestSequence { get; }

    /// <summary>A compaction reads it. Under the store's lock.</summary>
    public bool Busy { get; set; }

    /// <summary>
    /// Collecting what is dead in it has been tried in vain because of a snapshot at this sequence number; no use to
    /// try again while that lives. One of an empty engine is at zero. Under the store's lock.
    /// </summary>
    public ulong? CollectedInVainAt { get; set; }

    /// <summary>
    /// The oldest snapshot when it was last looked for what its range tombstones cover whole; the largest number when no later
    /// look can find more. Under the store's lock.
    /// </summary>
    public ulong? LookedUnderAt { get; set; }

    /// <summary>Range tombstones in other tables cover all of it: it goes when nobody looks at it any more. A hint.</summary>
    public bool Covered
    {
        get => Volatile.Read(ref _covered);
        set => Volatile.Write(ref _covered, value);
    }

    /// <summary>Used since the table cache last looked; a hint.</summary>
    internal bool RecentlyUsed { get; set; }

    internal SSTableReader? Reader
    {
        get => Volatile.Read(ref _reader);
        set => Volatile.Write(ref _reader, value);
    }

    /// <summary>The open reader with a reference for the caller.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public SSTableReader AcquireReader()
    {
        SSTableReader? reader = Volatile.Read(ref _reader);
        if (reader is null || !reader.TryAddReference())
            return _cache.Open(this);
        if (!RecentlyUsed)
            RecentlyUsed = true;
        return reader;
    }

    public void AddRangeTombstones(List<RangeTombstone> tombstones)
    {
        if (!HasRangeTombstones)
            return;
        SSTableReader reader = AcquireReader();
        try
        {
            foreach (FragmentedTombstones.Fragment fragment in reader.Tombstones.Fragments)
            {
                foreach (ulong sequence in fragment.Sequences)
                    tombstones.Add(new RangeTombstone(fragment.Start, fragment.End, sequence));
            }
        }
        finally
        {
            reader.Release();
        }
    }

    public void AddReference() => _references.Add();

    /// <summary>True when this was the last one.</summary>
    public bool Release() => _references.Release();
}
