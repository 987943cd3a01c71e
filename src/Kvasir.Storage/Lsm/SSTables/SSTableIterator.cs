using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.Cache;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// Walks one table. Through the cache it holds one block at a time; past the cache it reads many blocks ahead into a
/// buffer of its own, more with every refill while it goes forward.
/// </summary>
internal sealed unsafe class SSTableIterator : InternalIterator
{
    private const int ReadAheadBytesMin = 16 << 10;
    private const int ReadAheadBytesMax = 512 << 10;

    // A compaction reads from a dozen tables at once: all of them together may take but a small part of the memory.
    private const int BudgetParts = 256;

    private readonly SSTableReader _reader;
    private readonly bool _bypassCache;
    private readonly int _aheadMax;
    private DataBlockCursor _cursor = new();
    private CachedBlock? _block;
    private int _blockIndex;
    private bool _valid;

    // Read-ahead: file bytes [_aheadOffset, _aheadOffset + _aheadLength) lie in _ahead, _unpacked takes one block.
    private NativeBytes? _ahead;
    private NativeBytes? _unpacked;
    private long _aheadOffset;
    private int _aheadLength;
    private int _aheadWanted = ReadAheadBytesMin;

    public SSTableIterator(SSTableReader reader, bool bypassCache, bool fullReadAhead)
    {
        _reader = reader;
        _bypassCache = bypassCache;
        _aheadMax = (int)Math.Clamp(reader.Memory.TotalBytes / BudgetParts, ReadAheadBytesMin, ReadAheadBytesMax);
        if (fullReadAhead)
            _aheadWanted = _aheadMax;
    }

    public override bool Valid => _valid;

    public override ReadOnlySpan<byte> UserKey => _cursor.UserKey;

    public override Trailer Trailer => _cursor.Trailer;

    public override ReadOnlySpan<byte> Value => _cursor.Value;

    public override long ExpiresAtMs => _cursor.ExpiresAtMs;

    public override void SeekToFirst()
    {
        if (!TryLoad(0))
            return;
        _cursor.SeekToFirst();
        Settle();
    }

    public override void SeekToLast()
    {
        if (!TryLoad(_reader.BlockCount - 1))
            return;
        _cursor.SeekToLast();
        Settle();
    }

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        if (!TryLoad(_reader.FindBlock(userKey)))
            return;
        _cursor.Seek(userKey, trailer);
        while (!_cursor.Valid)
        {
            // All of the block is before: the first of the next one is at or after, unless versions run on.
            CheckCursor();
            if (!TryLoad(_blockIndex + 1))
                return;
            _cursor.Seek(userKey, trailer);
        }

        _valid = true;
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        Seek(userKey, trailer);
        if (!_valid)
            SeekToLast();
        else if (DataBlockCursor.Compare(UserKey, Trailer, userKey, trailer) > 0)
            Previous();
    }

    public override void Next()
    {
        _cursor.Next();
        if (!_cursor.Valid)
            NextBlock();
    }

    public override void Previous()
    {
        _cursor.Previous();
        if (_cursor.Valid)
            return;
        CheckCursor();
        if (!TryLoad(_blockIndex - 1))
            return;
        _cursor.SeekToLast();
        Settle();
    }

    protected override void Dispose(bool disposing)
    {
        _valid = false;
        ReleaseBlock();
        _ahead?.Dispose();
        _ahead = null;
        _unpacked?.Dispose();
        _unpacked = null;
        _reader.Release();
    }

    private void NextBlock()
    {
        CheckCursor();
        if (!TryLoad(_blockIndex + 1))
            return;
        _cursor.SeekToFirst();
        Settle();
    }

    /// <summary>Blocks are never empty.</summary>
    private void Settle()
    {
        _valid = _cursor.Valid;
        if (!_valid)
            _reader.ThrowMalformed(_blockIndex);
    }

    private void CheckCursor()
    {
        _valid = false;
        if (_cursor.Malformed)
            _reader.ThrowMalformed(_blockIndex);
    }

    private bool TryLoad(int block)
    {
        _valid = false;
        if (_block is not null && block == _blockIndex)
            return true;
        ReleaseBlock();
        if ((uint)block >= (uint)_reader.BlockCount)
            return false;
        _blockIndex = block;
        if (_bypassCache)
        {
            LoadAhead(block);
            return true;
        }

        _block = _reader.ReadBlock(block);
        _cursor.Reset(_block.Pointer, _block.Length);
        return true;
    }

    private void ReleaseBlock()
    {
        _cursor.Clear();
        _block?.Release();
        _block = null;
    }

    private void LoadAhead(int block)
    {
        BlockHandle handle = _reader.Handle(block);
        int size = handle.Length + SSTableFormat.BlockTrailerBytes;
        if (handle.Offset < _aheadOffset || handle.End > _aheadOffset + _aheadLength)
            Refill(block, handle, size);
        byte* at = _ahead!.Pointer + (handle.Offset - _aheadOffset);
        var bytes = new ReadOnlySpan<byte>(at, size);
        if (_reader.CheckDataBlock(bytes, handle.Offset) == BlockCompression.None)
        {
            _cursor.Reset(at, handle.Length);
            return;
        }

        ReadOnlySpan<byte> payload = bytes[..handle.Length];
        int length = _reader.RawLength(payload, handle.Offset);
        if (_unpacked is null || _unpacked.Length < length)
        {
            _unpacked?.Dispose();
            _unpacked = null;
            _unpacked = new NativeBytes(Math.Max(length, 8192), _reader.Memory);
        }

        if (!Lz4Block.TryDecompress(payload[sizeof(int)..], _unpacked.Span[..length]))
            throw new Files.CorruptionException(_reader.Path, handle.Offset, "compressed block");
        _cursor.Reset(_unpacked.Pointer, length);
    }

    private void Refill(int block, BlockHandle handle, int size)
    {
        // Whole blocks only. Going backward, the window ends with the block instead of starting there.
        bool backward = _aheadLength > 0 && handle.Offset < _aheadOffset;
        long start = handle.Offset;
        long end = handle.End;
        int wanted = Math.Max(size, _aheadWanted);
        if (backward)
        {
            for (int i = block - 1; i >= 0 && end - _reader.Handle(i).Offset <= wanted; i--)
                start = _reader.Handle(i).Offset;
        }
        else
        {
            for (int i = block + 1; i < _reader.BlockCount && _reader.Handle(i).End - start <= wanted; i++)
                end = _reader.Handle(i).End;
        }

        _aheadWanted = Math.Min(_aheadMax, _aheadWanted * 2);
        int length = (int)(end - start);
        _aheadLength = 0;
        if (_ahead is null || _ahead.Length < length)
        {
            _ahead?.Dispose();
            _ahead = null;
            _ahead = new NativeBytes(Math.Max(length, wanted), _reader.Memory);
        }

        _reader.ReadRaw(_ahead.Span[..length], start);
        _aheadOffset = start;
        _aheadLength = length;
    }
}
