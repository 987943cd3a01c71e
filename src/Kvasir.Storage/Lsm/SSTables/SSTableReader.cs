using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// An open SSTable: its file, and index and filter in memory. Reference-counted: whoever reads holds a reference; the
/// file is closed with the last one. Thread-safe.
/// </summary>
internal sealed unsafe class SSTableReader
{
    private const int ScratchBytes = 64 << 10;

    [ThreadStatic]
    private static byte[]? s_scratch;

    private readonly IFile _file;
    private readonly BlockCache _cache;
    private readonly TableIndex _index;
    private readonly NativeBytes? _filterBytes;
    private readonly BloomFilter _filter;
    private readonly bool _verify;
    private readonly bool _compressed;
    private readonly SSTableFooter _footer;
    private ReferenceCount _references = new(1);

    private SSTableReader(
        IFile file, ulong number, ulong fileId, SSTableFooter footer, TableProperties properties, TableIndex index,
        NativeBytes? filter, FragmentedTombstones tombstones, BlockCache cache, bool verify)
    {
        _file = file;
        _footer = footer;
        Number = number;
        FileId = fileId;
        Properties = properties;
        Tombstones = tombstones;
        _index = index;
        _filterBytes = filter;
        if (filter is not null)
            _filter = BloomFilter.Read(filter.Pointer, filter.Length, file.Path, footer.Filter.Offset);
        _cache = cache;
        _verify = verify;
        _compressed = properties.Compressed;
    }

    public ulong Number { get; }

    /// <summary>The file's name in the block cache.</summary>
    public ulong FileId { get; }

    public TableProperties Properties { get; }

    public FragmentedTombstones Tombstones { get; }

    public string Path => _file.Path;

    /// <summary>What the memory of its iterators is counted in.</summary>
    public MemoryBudget Memory => _cache.Budget;

    public int BlockCount => _index.Count;

    /// <summary>Where the data blocks end.</summary>
    public long DataEnd => _footer.Filter.IsNone
        ? _footer.Tombstones.IsNone ? _footer.Index.Offset : _footer.Tombstones.Offset
        : _footer.Filter.Offset;

    public SSTableFooter Footer => _footer;

    public bool HasFilter => _filterBytes is not null;

    public int MemoryBytes => _index.MemoryBytes + (_filterBytes?.Length ?? 0);

    /// <summary>
    /// Opens and checks everything but the data blocks. Owns <paramref name="file"/> from then on, also when it throws.
    /// </summary>
    public static SSTableReader Open(IFile file, ulong number, ulong fileId, BlockCache cache, bool verify)
    {
        TableIndex? index = null;
        NativeBytes? filter = null;
        try
        {
            SSTableFooter footer = ReadIdentity(file, number);
            BlockHandle after = footer.Index;
            var tombstones = FragmentedTombstones.Empty;
            if (!footer.Tombstones.IsNone)
            {
                CheckFollows(file, footer.Tombstones, after);
                after = footer.Tombstones;
                using NativeBytes block = ReadWhole(file, footer.Tombstones, BlockKind.Tombstones, number, budget: null);
                tombstones = new FragmentedTombstones(TombstoneBlock.Read(Payload(block), file.Path, footer.Tombstones.Offset));
            }

            if (!footer.Filter.IsNone)
            {
                CheckFollows(file, footer.Filter, after);
                after = footer.Filter;
            }

            TableProperties properties = ReadProperties(file, footer, number);
            using (NativeBytes block = ReadWhole(file, footer.Index, BlockKind.Index, number, budget: null))
                index = TableIndex.Read(Payload(block), file.Path, footer.Index.Offset, after.Offset, cache.Budget);
            if (!footer.Filter.IsNone)
            {
                using NativeBytes block = ReadWhole(file, footer.Filter, BlockKind.Filter, number, budget: null);
                filter = new NativeBytes(footer.Filter.Length, cache.Budget);
                Payload(block).CopyTo(filter.Span);
            }

            return new SSTableReader(file, number, fileId, footer, properties, index, filter, tombstones, cache, verify);
        }
        catch
        {
            index?.Dispose();
            filter?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>Checks that the file is the whole of table <paramref name="number"/>, without reading its blocks.</summary>
    public static SSTableFooter ReadIdentity(IFile file, ulong number)
    {
        ulong found = SSTableFormat.ReadHeader(file);
        if (found != number)
            throw new CorruptionException(file.Path, 16, $"this is table {found}, not table {number}");
        SSTableFooter footer = SSTableFormat.ReadFooter(file);
        if (footer.TableNumber != number)
            throw new CorruptionException(file.Path, file.Length - SSTableFormat.FooterBytes, "the footer is another table's");
        return footer;
    }

    public static TableProperties ReadProperties(IFile file, in SSTableFooter footer, ulong number)
    {
        using NativeBytes block = ReadWhole(file, footer.Properties, BlockKind.Properties, number, budget: null);
        return TableProperties.ReadOrThrow(Payload(block), file.Path, footer.Properties.Offset);
    }

    public bool TryAddReference() => _references.TryAdd();

    public void Release()
    {
        if (!_references.Release())
            return;
        _index.Dispose();
        _filterBytes?.Dispose();
        _file.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayContain(ulong keyHash) => _filterBytes is null || _filter.MayContain(keyHash);

    /// <summary>
    /// The newest version of a key at or below a sequence number, of points only: range tombstones are the caller's.
    /// Ask <see cref="MayContain"/> first.
    /// </summary>
    public bool TryGet(ReadOnlySpan<byte> userKey, ulong sequence, BytesBuffer? value, out LookupResult result)
    {
        Trailer seek = Trailer.Seek(sequence);
        for (int i = _index.Find(userKey); i < _index.Count; i++)
        {
            CachedBlock block = ReadBlock(i);
            FindOutcome outcome = DataBlockCursor.Find(block.Pointer, block.Length, userKey, seek, out DataBlockEntry entry);
            if (outcome == FindOutcome.Found)
            {
                result = new LookupResult(
                    entry.Trailer.Sequence, entry.Trailer.Kind == ValueKind.Tombstone, entry.ExpiresAtMs, entry.ValueLength);
                if (value is not null && !result.Deleted)
                    value.Append(new ReadOnlySpan<byte>(block.Pointer + entry.ValueOffset, entry.ValueLength));
                block.Release();
                return true;
            }

            block.Release();
            if (outcome == FindOutcome.Malformed)
                ThrowMalformed(i);
            // Versions of one key may run over the end of a block; then the separator is the key itself.
            if (outcome == FindOutcome.Absent || !_index.Separator(i).SequenceEqual(userKey))
                break;
        }

        result = default;
        return false;
    }

    public SSTableIterator CreateIterator(bool bypassCache, bool fullReadAhead = false)
    {
        Check.That(TryAddReference());
        return new SSTableIterator(this, bypassCache, fullReadAhead);
    }

    /// <summary>Roughly how many bytes of data lie before <paramref name="userKey"/>.</summary>
    public long OffsetOf(ReadOnlySpan<byte> userKey)
    {
        int block = _index.Find(userKey);
        return block == _index.Count ? DataEnd : _index.Handle(block).Offset;
    }

    public int FindBlock(ReadOnlySpan<byte> userKey) => _index.Find(userKey);

    public BlockHandle Handle(int block) => _index.Handle(block);

    /// <summary>One data block, from the cache or through it, with a reference for the caller.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public CachedBlock ReadBlock(int block)
    {
        BlockHandle handle = _index.Handle(block);
        return _cache.TryGet(FileId, handle.Offset) ?? _cache.Insert(LoadBlock(handle));
    }

    /// <summary>One data block straight from the file, not put into the cache.</summary>
    public CachedBlock LoadBlock(BlockHandle handle)
    {
        int size = handle.Length + SSTableFormat.BlockTrailerBytes;
        if (!_compressed)
        {
            var block = new CachedBlock(FileId, handle.Offset, size, _cache.Budget) { Length = size };
            try
            {
                SSTableFormat.ReadExactly(_file, block.Span, handle.Offset);
                if (CheckDataBlock(block.Span, handle.Offset) != BlockCompression.None)
                    throw new CorruptionException(Path, handle.Offset, "compressed block in an uncompressed table");
                block.Length = handle.Length;
                return block;
            }
            catch
            {
                block.Release();
                throw;
            }
        }

        byte[] scratch = size <= ScratchBytes ? s_scratch ??= new byte[ScratchBytes] : new byte[size];
        Span<byte> bytes = scratch.AsSpan(0, size);
        SSTableFormat.ReadExactly(_file, bytes, handle.Offset);
        return Unpack(bytes, handle.Offset);
    }

    /// <summary>Reads raw bytes of the file: payloads and trailers of several blocks at once.</summary>
    public void ReadRaw(Span<byte> destination, long offset) => SSTableFormat.ReadExactly(_file, destination, offset);

    public BlockCompression CheckDataBlock(ReadOnlySpan<byte> payloadAndTrailer, long offset) =>
        SSTableFormat.CheckBlock(payloadAndTrailer, BlockKind.Data, Number, Path, offset, _verify);

    /// <summary>Checks and unpacks a data block as read into a block of its own.</summary>
    public CachedBlock Unpack(ReadOnlySpan<byte> payloadAndTrailer, long offset)
    {
        BlockCompression compression = CheckDataBlock(payloadAndTrailer, offset);
        ReadOnlySpan<byte> payload = payloadAndTrailer[..^SSTableFormat.BlockTrailerBytes];
        int length = compression == BlockCompression.None ? payload.Length : RawLength(payload, offset);
        var block = new CachedBlock(FileId, offset, length, _cache.Budget) { Length = length };
        if (compression == BlockCompression.None)
        {
            payload.CopyTo(block.Span);
        }
        else if (!Lz4Block.TryDecompress(payload[sizeof(int)..], block.Span))
        {
            block.Release();
            throw new CorruptionException(Path, offset, "compressed block");
        }

        return block;
    }

    public int RawLength(ReadOnlySpan<byte> compressedPayload, long offset)
    {
        if (compressedPayload.Length <= sizeof(int))
            throw new CorruptionException(Path, offset, "compressed block");
        int length = BinaryPrimitives.ReadInt32LittleEndian(compressedPayload);
        // No LZ4 sequence yields more than 255 bytes a byte.
        if (length < 0 || length > SSTableFormat.BlockPayloadBytesMax || length / 256 > compressedPayload.Length)
            throw new CorruptionException(Path, offset, "compressed block");
        return length;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    [System.Diagnostics.CodeAnalysis.DoesNotReturn]
    public void ThrowMalformed(int block) =>
        throw new CorruptionException(Path, _index.Handle(block).Offset, "entries of a data block");

    /// <summary>Metadata blocks are always verified: they are read once.</summary>
    private static NativeBytes ReadWhole(IFile file, BlockHandle handle, BlockKind kind, ulong number, MemoryBudget? budget)
    {
        var bytes = new NativeBytes(handle.Length + SSTableFormat.BlockTrailerBytes, budget);
        try
        {
            SSTableFormat.ReadExactly(file, bytes.Span, handle.Offset);
            BlockCompression compression = SSTableFormat.CheckBlock(bytes.Span, kind, number, file.Path, handle.Offset, verify: true);
            if (compression != BlockCompression.None)
                throw new CorruptionException(file.Path, handle.Offset, "compressed metadata block");
            return bytes;
        }
        catch
        {
            bytes.Dispose();
            throw;
        }
    }

    private static ReadOnlySpan<byte> Payload(NativeBytes block) => block.Span[..^SSTableFormat.BlockTrailerBytes];

    private static void CheckFollows(IFile file, BlockHandle handle, BlockHandle next)
    {
        if (handle.End != next.Offset)
            throw new CorruptionException(file.Path, file.Length - SSTableFormat.FooterBytes, "footer handles");
    }
}
