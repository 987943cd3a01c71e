using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>The segment that takes records. Used by one thread at a time, the committing one.</summary>
internal sealed class ActiveSegment
{
    // An end always has room for the mark after the last chunk and, in its place or behind it, the closing one.
    private const int ReservedBytes = 2 * JournalFormat.MarkBytes;

    private readonly SegmentHeader _header;
    private long _offset;
    private bool _isLeft;

    public ActiveSegment(IFile file, in SegmentHeader header, long offset)
    {
        File = file;
        FileLength = file.Length;
        _header = header;
        _offset = offset;
    }

    public IFile File { get; }

    public long FileLength { get; }

    public ulong Sequence => _header.Sequence;

    public ulong BasePosition => _header.BasePosition;

    /// <summary>The logical position behind the last record.</summary>
    public ulong EndPosition => _header.BasePosition + (ulong)(_offset - JournalFormat.SegmentHeaderBytes);

    /// <summary>The end at which the last mark was written.</summary>
    public ulong MarkedEnd { get; private set; }

    public bool IsHalfFull => _offset > FileLength / 2;

    /// <summary>A write of which a part may be there, or a sync, failed, even one for lack of space: its content is uncertain.</summary>
    public bool Failed { get; private set; }

    /// <summary>Bytes of a segment file that can take a first chunk of <paramref name="bytes"/>.</summary>
    public static long LengthFor(int bytes) => JournalFormat.SegmentHeaderBytes + (long)bytes + ReservedBytes;

    public static ActiveSegment Start(SegmentFolder folder, in SegmentHeader header, long minimumLength) =>
        new(folder.Activate(header, minimumLength), header, JournalFormat.SegmentHeaderBytes);

    /// <summary>One whose end a recovery found: what lies behind it may be whole, and must not come back to life behind anything new.</summary>
    public static ActiveSegment Left(IFile file, in SegmentHeader header, long offset) => new(file, header, offset) { _isLeft = true };

    public bool HasRoomFor(int bytes) => !_isLeft && _offset + bytes + ReservedBytes <= FileLength;

    /// <summary>Whether a segment of this length whose entries end there can go on.</summary>
    public static bool CanContinue(long endOffset, long fileLength) => endOffset + ReservedBytes <= fileLength;

    public RetainedSegment ToRetained() => new(Sequence, BasePosition, EndPosition, FileLength);

    public void Write(ReadOnlySpan<byte> chunk)
    {
        WriteAtEnd(chunk);
        _offset += chunk.Length;
    }

    /// <summary>Writes behind the end without moving it.</summary>
    public void WriteMark(ReadOnlySpan<byte> mark)
    {
        Check.That(_offset + mark.Length <= FileLength);
        WriteAtEnd(mark);
        MarkedEnd = EndPosition;
    }

    /// <summary>
    /// Says behind the end, durably, that the next segment is there. Nothing depends on it as long as nobody loses that
    /// one, so a disk that refuses it is not looked at here.
    /// </summary>
    public static void MarkContinued(IFile file, long endOffset, in JournalMark mark, uint seed, ulong endPosition)
    {
        Span<byte> entry = stackalloc byte[JournalFormat.MarkBytes];
        if (endOffset + entry.Length > file.Length)
            return;
        JournalFormat.WriteMark(entry, JournalEntryKind.ContinuedMark, mark, seed, endPosition);
        try
        {
            file.Write(entry, endOffset);
            file.Sync(SyncMode.Data);
        }
        catch (DiskFailedException)
        {
            // Everything before it is durable all the same.
        }
    }

    public void MarkContinued(in JournalMark mark, uint seed) => MarkContinued(File, _offset, mark, seed, EndPosition);

    public void Sync()
    {
        Failed = true;
        File.Sync(SyncMode.Data);
        Failed = false;
    }

    private void WriteAtEnd(ReadOnlySpan<byte> bytes)
    {
        Failed = true;
        try
        {
            File.Write(bytes, _offset);
        }
        catch (DiskFullException full) when (full.WroteNothing)
        {
            // Where files are never overwritten in place (copy on write, thin disks) even a block that is there needs room.
            Failed = false;
            throw;
        }

        Failed = false;
    }
}
