using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>Walks the entries of one segment from its start to the first bytes that are no valid entry.</summary>
internal sealed class SegmentScanner : IDisposable
{
    private const int WindowBytes = 1 << 20;

    private readonly IFile _file;
    private readonly long _fileLength;
    private readonly uint _seed;
    private byte[] _window;
    private long _windowOffset;
    private int _windowLength;

    public SegmentScanner(IFile file, in SegmentHeader header)
    {
        _file = file;
        _fileLength = file.Length;
        _window = new byte[(int)Math.Min(WindowBytes, _fileLength)];
        Header = header;
        _seed = JournalFormat.SeedOf(header.JournalId);
        EndOffset = JournalFormat.SegmentHeaderBytes;
    }

    public SegmentHeader Header { get; }

    public long FileLength => _fileLength;

    /// <summary>Offset in the file of the entry that <see cref="MoveNext"/> found.</summary>
    public long Offset { get; private set; }

    /// <summary>Offset in the file after it; once <see cref="MoveNext"/> returned false, where the valid entries end.</summary>
    public long EndOffset { get; private set; }

    public JournalEntryKind Kind { get; private set; }

    public int PayloadLength { get; private set; }

    /// <summary>Valid until the next move.</summary>
    public ReadOnlySpan<byte> Payload =>
        _window.AsSpan((int)(Offset - _windowOffset) + JournalFormat.RecordHeaderBytes, PayloadLength);

    /// <summary>The whole entry, header and payload, whose checksum was right. Valid until the next move.</summary>
    public ReadOnlySpan<byte> Entry => _window.AsSpan((int)(Offset - _windowOffset), (int)(EndOffset - Offset));

    /// <summary>A record's position is the logical place just after it.</summary>
    public LogPosition Position => new(PositionAt(EndOffset));

    public JournalMark Mark => JournalFormat.ReadMark(Payload);

    public ulong PositionAt(long offset) => Header.BasePosition + (ulong)(offset - JournalFormat.SegmentHeaderBytes);

    public bool MoveNext()
    {
        if (!TryReadEntry(EndOffset, out JournalEntryKind kind, out int length))
            return false;
        Offset = EndOffset;
        EndOffset += JournalFormat.RecordHeaderBytes + length;
        Kind = kind;
        PayloadLength = length;
        return true;
    }

    /// <summary>
    /// Whether the disk returns the same bytes again for what ended the walk. What it misread once looks like a torn tail,
    /// and a torn tail is dropped. To be asked when <see cref="MoveNext"/> has returned false, before anything else.
    /// </summary>
    public bool EndReadsTheSameAgain()
    {
        if (!Fill(EndOffset, JournalFormat.RecordHeaderBytes))
            return true;
        int at = (int)(EndOffset - _windowOffset);
        int length = BinaryPrimitives.ReadInt32LittleEndian(_window.AsSpan(at + 4));
        int seen = length < 0 ? JournalFormat.RecordHeaderBytes : (int)Math.Min((long)JournalFormat.RecordHeaderBytes + length, _windowLength - at);
        byte[] again = new byte[seen];
        return _file.Read(again, EndOffset) == seen && again.AsSpan().SequenceEqual(_window.AsSpan(at, seen));
    }

    /// <summary>
    /// Looks behind the end of the valid entries for a mark stating that something there had been synced: the proof that
    /// the end is no torn tail but damage.
    /// </summary>
    public JournalMark? FindProofOfDurabilityAfterEnd()
    {
        // Every mark holds its length in these four bytes.
        Span<byte> lengthBytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(lengthBytes, JournalFormat.MarkPayloadBytes);
        ulong end = PositionAt(EndOffset);
        long offset = EndOffset;
        while (Fill(offset, JournalFormat.MarkBytes))
        {
            ReadOnlySpan<byte> window = _window.AsSpan((int)(offset - _windowOffset), _windowLength - (int)(offset - _windowOffset));
            int searched = window.Length - JournalFormat.MarkBytes + 1;
            int at = 0;
            while (at < searched)
            {
                int found = window[(at + 4)..].IndexOf(lengthBytes);
                if (found < 0 || at + found >= searched)
                    break;
                at += found;
                ReadOnlySpan<byte> entry = window.Slice(at, JournalFormat.MarkBytes);
                if (entry[8] is (byte)JournalEntryKind.Mark or (byte)JournalEntryKind.ClosingMark or (byte)JournalEntryKind.ContinuedMark
                    && IsValid(entry, offset + at))
                {
                    JournalMark mark = JournalFormat.ReadMark(entry[JournalFormat.RecordHeaderBytes..]);
                    if (mark.Durable.Value > end)
                        return mark;
                }

                at++;
            }

            offset += searched;
        }

        return null;
    }

    public void Dispose() => _file.Dispose();

    private bool TryReadEntry(long offset, out JournalEntryKind kind, out int length)
    {
        kind = default;
        length = 0;
        if (!Fill(offset, JournalFormat.RecordHeaderBytes))
            return false;
        ReadOnlySpan<byte> header = _window.AsSpan((int)(offset - _windowOffset), JournalFormat.RecordHeaderBytes);
        length = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        kind = (JournalEntryKind)header[8];
        bool isMark = kind is JournalEntryKind.Mark or JournalEntryKind.ClosingMark or JournalEntryKind.ContinuedMark;
        if (length < 0 || (!isMark && kind != JournalEntryKind.Record) || (isMark && length != JournalFormat.MarkPayloadBytes))
            return false;
        int total = JournalFormat.RecordHeaderBytes + length;
        return length <= _fileLength - offset - JournalFormat.RecordHeaderBytes
            && Fill(offset, total)
            && IsValid(_window.AsSpan((int)(offset - _windowOffset), total), offset);
    }

    private bool IsValid(ReadOnlySpan<byte> entry, long offset) =>
        JournalFormat.ChecksumOf(_seed, PositionAt(offset), entry[4..]) == BinaryPrimitives.ReadUInt32LittleEndian(entry);

    /// <summary>Makes the window hold <paramref name="count"/> bytes from <paramref name="offset"/>; false at the end of the file.</summary>
    private bool Fill(long offset, int count)
    {
        if (offset >= _windowOffset && offset + count <= _windowOffset + _windowLength)
            return true;
        if (offset + count > _fileLength)
            return false;
        if (_window.Length < count)
            _window = new byte[count];
        _windowOffset = offset;
        _windowLength = _file.Read(_window, offset);
        return _windowLength >= count;
    }
}
