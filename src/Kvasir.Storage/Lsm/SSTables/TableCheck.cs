using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// Walks one whole table and collects what is wrong with it: checksums, order, index, filter, counts. Goes on behind a
/// damaged block.
/// </summary>
internal sealed class TableCheck
{
    private readonly IFileSystem _files;
    private readonly string _path;
    private readonly List<DamageFinding> _findings;
    private readonly BytesBuffer _lastKey = new();
    private Trailer _lastTrailer;
    private bool _hasLast;
    private long _entries;
    private long _tombstones;

    public TableCheck(IFileSystem files, string path, List<DamageFinding> findings)
    {
        _files = files;
        _path = path;
        _findings = findings;
    }

    /// <summary>The table's properties when they could be read.</summary>
    public TableProperties? Run(ulong number)
    {
        SSTableReader reader;
        try
        {
            var cache = new BlockCache(new MemoryBudget(MemoryBudget.MinimumBytes));
            reader = SSTableReader.Open(_files.Open(_path, FileOpenMode.Read), number, fileId: 1, cache, verify: true);
        }
        catch (StorageException e)
        {
            _findings.Add(DamageFinding.Of(e, _path));
            return null;
        }

        int before = _findings.Count;
        for (int block = 0; block < reader.BlockCount; block++)
        {
            try
            {
                CheckBlock(reader, block);
            }
            catch (StorageException e)
            {
                _findings.Add(DamageFinding.Of(e, _path));
            }
        }

        TableProperties properties = reader.Properties;
        if (_findings.Count == before && (_entries != properties.EntryCount || _tombstones != properties.TombstoneCount))
        {
            _findings.Add(new DamageFinding(
                _path, reader.Footer.Properties.Offset,
                $"{_path} holds {_entries} entries and {_tombstones} tombstones, its properties say {properties.EntryCount} and {properties.TombstoneCount}"));
        }

        reader.Release();
        return properties;
    }

    private unsafe void CheckBlock(SSTableReader reader, int blockIndex)
    {
        BlockHandle handle = reader.Handle(blockIndex);
        CachedBlock block = reader.LoadBlock(handle);
        try
        {
            var cursor = new DataBlockCursor();
            cursor.Reset(block.Pointer, block.Length);
            for (cursor.SeekToFirst(); cursor.Valid; cursor.Next())
                CheckEntry(reader, handle, blockIndex, cursor.UserKey, cursor.Trailer);
            if (cursor.Malformed)
                reader.ThrowMalformed(blockIndex);
            if (reader.FindBlock(_lastKey.WrittenSpan) > blockIndex)
                throw new CorruptionException(_path, reader.Footer.Index.Offset, $"the index separator of block {blockIndex} is too small");
        }
        finally
        {
            block.Release();
        }
    }

    private void CheckEntry(SSTableReader reader, BlockHandle handle, int blockIndex, ReadOnlySpan<byte> key, Trailer trailer)
    {
        if (_hasLast && DataBlockCursor.Compare(_lastKey.WrittenSpan, _lastTrailer, key, trailer) >= 0)
            throw new CorruptionException(_path, handle.Offset, "keys out of order");
        if (!reader.MayContain(StableHash.Hash64(key)))
            throw new CorruptionException(_path, reader.Footer.Filter.Offset, "the filter does not know a key of the table");
        if (reader.FindBlock(key) > blockIndex)
            throw new CorruptionException(_path, reader.Footer.Index.Offset, $"the index does not lead to a key of block {blockIndex}");
        _lastKey.Clear();
        _lastKey.Append(key);
        _lastTrailer = trailer;
        _hasLast = true;
        _entries++;
        if (trailer.Kind == ValueKind.Tombstone)
            _tombstones++;
    }
}
