using System.Buffers;
using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;

namespace Kvasir.Storage.Lsm.SSTables;

internal sealed record SSTableWriterOptions
{
    public int BlockBytes { get; init; } = 4096;

    public int RestartInterval { get; init; } = 16;

    public int FilterBitsPerKey { get; init; } = 10;

    public bool Compress { get; init; }

    public long CreatedAtMs { get; init; }

    /// <summary>What the memory of a table in the making is counted in, or null.</summary>
    public MemoryBudget? Memory { get; init; }
}

/// <summary>
/// Writes one SSTable (docs/formats/sstable.md): entries in iterator order, then range tombstones, then
/// <see cref="Finish"/>, which returns when all of it is on stable storage. Disposed before that, it leaves a file that
/// its owner deletes. One thread.
/// </summary>
internal sealed class SSTableWriter : IDisposable
{
    private const int BufferBytes = 512 << 10;

    // On its way to the disk in steps, so that the sync at the end neither waits long nor holds up everybody else's.
    private const long WriteBackStepBytes = 1L << 20;

    private const int FilterKeysMax = (SSTableFormat.BlockPayloadBytesMax / 16) - 64;

    [ThreadStatic]
    private static WriterScratch? s_scratch;

    private readonly IFile _file;
    private readonly ulong _number;
    private readonly SSTableWriterOptions _options;
    private readonly DataBlockBuilder _block;
    private readonly WriterScratch _scratch;
    private readonly IndexBlockBuilder _index;
    private readonly BytesBuffer _separator = new(64);
    private readonly BytesBuffer _lastKey = new(64);
    private readonly BytesBuffer _smallestKey = new(64);
    private readonly int[]? _compressionTable;
    private byte[] _compressed = [];
    private byte[] _buffer;
    private int _buffered;
    private long _fileOffset;
    private long _writtenBackOffset;
    private readonly HashList _hashes;
    private Trailer _lastTrailer;
    private int _pendingBlockLength = -1;
    private TableProperties _properties = new();
    private long _entryCount;
    private long _tombstoneCount;
    private long _expiringCount;
    private long _firstDeadline = long.MaxValue;
    private long _lastDeadline;
    private long _rawKeyBytes;
    private long _rawValueBytes;
    private long _dataBlocks;
    private ulong _smallestSequence = ulong.MaxValue;
    private ulong _largestSequence;
    private uint _contentChecksum;

    public SSTableWriter(IFileSystem files, string path, ulong number, SSTableWriterOptions options)
    {
        _file = files.Open(path, FileOpenMode.CreateNew);
        _number = number;
        _options = options;
        _hashes = new HashList(options.Memory);
        _block = new DataBlockBuilder(options.RestartInterval);
        _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        _scratch = s_scratch ?? new WriterScratch();
        s_scratch = null;
        _index = _scratch.Index;
        _compressed = _scratch.Compressed;
        if (options.Compress)
            _compressionTable = _scratch.CompressionTable ??= new int[Lz4Block.TableSlots];
        SSTableFormat.WriteHeader(_buffer, number);
        _buffered = SSTableFormat.HeaderBytes;
    }

    public ulong Number => _number;

    public long EntryCount => _entryCount;

    public string Path => _file.Path;

    /// <summary>Bytes of the file so far, roughly.</summary>
    public long SizeBytes => _fileOffset + _buffered + _block.SizeBytes;

    public ReadOnlySpan<byte> LastKey => _lastKey.WrittenSpan;

    public void Add(ReadOnlySpan<byte> userKey, Trailer trailer, long expiresAtMs, ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> last = _lastKey.WrittenSpan;
        int shared = userKey.CommonPrefixLength(last);
        bool sameKey = shared == userKey.Length && shared == last.Length;
        if (_entryCount > 0)
        {
            bool ascending = sameKey
                ? trailer.Packed < _lastTrailer.Packed
                : shared == last.Length || (shared < userKey.Length && userKey[shared] > last[shared]);
            Check.That(ascending, $"keys out of order in table {_number}");
        }

        if (_block.Count > 0 && _block.SizeBytes + (userKey.Length - shared) + value.Length + 24 > _options.BlockBytes)
            FinishBlock();
        if (_pendingBlockLength >= 0)
        {
            _index.Add(IndexBlockBuilder.Separate(last, userKey, _separator), _pendingBlockLength);
            _pendingBlockLength = -1;
        }

        _block.Add(userKey, shared, trailer, expiresAtMs, value);
        if (!sameKey || _entryCount == 0)
        {
            if (_options.FilterBitsPerKey > 0)
                _hashes.Add(StableHash.Hash64(userKey));
            if (_entryCount == 0)
                _smallestKey.Append(userKey);
            _lastKey.Truncate(shared);
            _lastKey.Append(userKey[shared..]);
        }

        _lastTrailer = trailer;
        Count(trailer, expiresAtMs);
        _rawKeyBytes += userKey.Length;
        _rawValueBytes += value.Length;
    }

    /// <summary>
    /// Completes the table with the tombstones, already cut to the table's part of the key space, and syncs it. The
    /// file's name is durable only after the folder is synced too, which is left to the caller.
    /// </summary>
    public TableProperties Finish(IReadOnlyList<RangeTombstone> tombstones)
    {
        if (_block.Count > 0)
            FinishBlock();
        if (_pendingBlockLength >= 0)
            _index.Add(_lastKey.WrittenSpan, _pendingBlockLength);

        BlockHandle filter = WriteFilter();
        BlockHandle tombstoneBlock = BlockHandle.None;
        foreach (RangeTombstone tombstone in tombstones)
        {
            _smallestSequence = Math.Min(_smallestSequence, tombstone.Sequence);
            _largestSequence = Math.Max(_largestSequence, tombstone.Sequence);
        }

        if (tombstones.Count > 0)
        {
            var bytes = new BytesBuffer();
            TombstoneBlock.Write(tombstones, bytes);
            tombstoneBlock = WriteBlock(bytes.WrittenSpan, BlockKind.Tombstones, BlockCompression.None);
        }

        BlockHandle index = WriteBlock(_index.Bytes, BlockKind.Index, BlockCompression.None);
        _properties = CreateProperties(tombstones);
        var propertyBytes = new BytesBuffer();
        _properties.Write(propertyBytes);
        BlockHandle properties = WriteBlock(propertyBytes.WrittenSpan, BlockKind.Properties, BlockCompression.None);

        EnsureBuffer(SSTableFormat.FooterBytes);
        var footer = new SSTableFooter
        {
            Index = index,
            Filter = filter,
            Tombstones = tombstoneBlock,
            Properties = properties,
            TableNumber = _number,
            FileLength = Offset + SSTableFormat.FooterBytes,
        };
        SSTableFormat.WriteFooter(_buffer.AsSpan(_buffered), footer);
        _buffered += SSTableFormat.FooterBytes;
        WriteBuffer();
        _file.Sync(SyncMode.Full);
        return _properties;
    }

    /// <summary>Length of the finished file.</summary>
    public long FinishedBytes => _fileOffset;

    public void Dispose()
    {
        _file.Dispose();
        _hashes.Dispose();
        byte[] buffer = _buffer;
        _buffer = [];
        if (buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            _index.Reset();
            _scratch.Compressed = _compressed.Length <= BufferBytes ? _compressed : [];
            s_scratch = _scratch;
        }
    }

    /// <summary>What the next table of this thread uses again: a megabyte that is not worth collecting after each.</summary>
    private sealed class WriterScratch
    {
        public IndexBlockBuilder Index { get; } = new();

        public int[]? CompressionTable { get; set; }

        public byte[] Compressed { get; set; } = [];
    }

    private long Offset => _fileOffset + _buffered;

    private void Count(Trailer trailer, long expiresAtMs)
    {
        _entryCount++;
        ulong sequence = trailer.Sequence;
        if (sequence < _smallestSequence)
            _smallestSequence = sequence;
        if (sequence > _largestSequence)
            _largestSequence = sequence;
        if (trailer.Kind == ValueKind.Tombstone)
        {
            _tombstoneCount++;
        }
        else if (trailer.Kind == ValueKind.ExpiringValue)
        {
            _expiringCount++;
            _firstDeadline = Math.Min(_firstDeadline, expiresAtMs);
            _lastDeadline = Math.Max(_lastDeadline, expiresAtMs);
        }
    }

    private TableProperties CreateProperties(IReadOnlyList<RangeTombstone> tombstones)
    {
        byte[]? smallest = _entryCount > 0 ? _smallestKey.WrittenSpan.ToArray() : null;
        byte[]? largest = _entryCount > 0 ? _lastKey.WrittenSpan.ToArray() : [];
        bool inclusive = _entryCount > 0;
        foreach (RangeTombstone tombstone in tombstones)
        {
            if (smallest is null || tombstone.Start.AsSpan().SequenceCompareTo(smallest) < 0)
                smallest = tombstone.Start;
            if (largest is null)
                continue;
            // An exclusive end equal to an inclusive one adds nothing.
            if (tombstone.End is null || tombstone.End.AsSpan().SequenceCompareTo(largest) > 0)
            {
                largest = tombstone.End;
                inclusive = false;
            }
        }

        return new TableProperties
        {
            EntryCount = _entryCount,
            TombstoneCount = _tombstoneCount,
            RangeTombstoneCount = tombstones.Count,
            ExpiringCount = _expiringCount,
            FirstDeadlineMs = _expiringCount > 0 ? _firstDeadline : 0,
            LastDeadlineMs = _lastDeadline,
            RawKeyBytes = _rawKeyBytes,
            RawValueBytes = _rawValueBytes,
            DataBlockCount = _dataBlocks,
            SmallestSequence = _smallestSequence,
            LargestSequence = _largestSequence,
            Compressed = _options.Compress,
            CreatedAtMs = _options.CreatedAtMs,
            SmallestKey = smallest ?? [],
            LargestKey = largest,
            LargestInclusive = inclusive,
            ContentChecksum = _contentChecksum,
        };
    }

    private BlockHandle WriteFilter()
    {
        // A table of more keys than one filter block can hold goes without: slower, never wrong.
        if (_hashes.Count == 0 || _hashes.Count > FilterKeysMax)
            return BlockHandle.None;
        int size = BloomFilter.SizeBytes(_hashes.Count, _options.FilterBitsPerKey);
        using var filter = new NativeBytes(size, _options.Memory);
        BloomFilter.Begin(_options.FilterBitsPerKey, filter.Span);
        _hashes.AddTo(filter.Span);
        return WriteBlock(filter.Span, BlockKind.Filter, BlockCompression.None);
    }

    private void FinishBlock()
    {
        ReadOnlySpan<byte> raw = _block.Finish();
        _pendingBlockLength = WriteDataBlock(raw);
        _dataBlocks++;
        _block.Clear();
    }

    private int WriteDataBlock(ReadOnlySpan<byte> raw)
    {
        if (_compressionTable is null)
            return WriteBlock(raw, BlockKind.Data, BlockCompression.None).Length;

        // Worth it when an eighth is saved: below that, reading raw is cheaper.
        int limit = raw.Length - (raw.Length / 8);
        if (_compressed.Length < limit)
            _compressed = new byte[Math.Max(limit, 8192)];
        int length = limit <= sizeof(int) ? 0 : Lz4Block.Compress(raw, _compressed.AsSpan(sizeof(int), limit - sizeof(int)), _compressionTable);
        if (length == 0)
            return WriteBlock(raw, BlockKind.Data, BlockCompression.None).Length;
        int rawLength = raw.Length;
        if (!BitConverter.IsLittleEndian)
            rawLength = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(rawLength);
        MemoryMarshal.Write(_compressed, rawLength);
        return WriteBlock(_compressed.AsSpan(0, length + sizeof(int)), BlockKind.Data, BlockCompression.Lz4).Length;
    }

    private BlockHandle WriteBlock(ReadOnlySpan<byte> payload, BlockKind kind, BlockCompression compression)
    {
        Check.That(payload.Length <= SSTableFormat.BlockPayloadBytesMax);
        long offset = Offset;
        int size = payload.Length + SSTableFormat.BlockTrailerBytes;
        Span<byte> trailer = stackalloc byte[SSTableFormat.BlockTrailerBytes];
        SSTableFormat.WriteBlockTrailer(trailer, payload, kind, compression, _number, offset);
        _contentChecksum = Crc32C.Append(_contentChecksum, SSTableFormat.ChecksumOf(trailer));
        if (size <= _buffer.Length - _buffered)
        {
            payload.CopyTo(_buffer.AsSpan(_buffered));
            _buffered += payload.Length;
        }
        else
        {
            WriteBuffer();
            if (size <= _buffer.Length)
            {
                payload.CopyTo(_buffer);
                _buffered = payload.Length;
            }
            else
            {
                _file.Write(payload, _fileOffset);
                _fileOffset += payload.Length;
            }
        }

        EnsureBuffer(trailer.Length);
        trailer.CopyTo(_buffer.AsSpan(_buffered));
        _buffered += trailer.Length;
        return new BlockHandle(offset, payload.Length);
    }

    private void EnsureBuffer(int size)
    {
        if (_buffer.Length - _buffered < size)
            WriteBuffer();
    }

    private void WriteBuffer()
    {
        if (_buffered == 0)
            return;
        _file.Write(_buffer.AsSpan(0, _buffered), _fileOffset);
        _fileOffset += _buffered;
        _buffered = 0;
        if (_fileOffset - _writtenBackOffset >= WriteBackStepBytes)
        {
            _file.BeginWriteBack(_writtenBackOffset, _fileOffset - _writtenBackOffset);
            _writtenBackOffset = _fileOffset;
        }
    }
}
