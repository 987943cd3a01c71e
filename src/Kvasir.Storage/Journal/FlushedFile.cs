using System.Buffers.Binary;
using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>
/// The file <c>FLUSHED</c> beside a journal (docs/formats/flushed.md). A journal lets go of what its engines have flushed; from
/// then on their files alone have it, and a manifest that lost its last records, or an older copy of it, would look whole. So
/// before anything is let go this file says up to where each engine's files hold the log, and after a clean stop up
/// to where the journal reaches. Whatever is found later must reach as far.
/// <para>
/// Two records in turn, each written in its place and synced: a torn write leaves the other, which says less and is true as
/// well; and a full disk takes it, so that letting go of the journal can make room there. Used by one thread at a time.
/// </para>
/// </summary>
public sealed class FlushedFile
{
    public const string Name = "FLUSHED";

    // The first knew no streams beyond those that are counted.
    private const uint FormatVersion = 2;
    private const uint FirstFormatVersion = 1;
    private const int RecordBytesUnit = 4096;
    private const int HeadBytes = 48;
    private const int CountOffset = 12;
    private const int OtherCountOffset = 40;
    private const int OtherBytes = 12;
    private const int ChecksumBytes = 4;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private ulong _sequence;
    private int _recordBytes;
    private bool _mayBeInCacheOnly;

    private FlushedFile(IFileSystem files, string folder, FlushedMarks marks)
    {
        _files = files;
        _folder = folder;
        Marks = marks;
    }

    /// <summary>What it says; nothing where there is no such file.</summary>
    public FlushedMarks Marks { get; private set; }

    private static ReadOnlySpan<byte> Magic => "KVFLUSH\n"u8;

    private string Path => PathIn(_folder);

    public static string PathIn(string folder) => folder + "/" + Name;

    /// <summary>
    /// What lies in the folder. Throws where it is damaged, and where it is another journal's than
    /// <paramref name="journalId"/>. With 0, of an owner that has no journal yet, what lies there counts for nothing.
    /// </summary>
    public static FlushedFile Open(IFileSystem files, string folder, ulong journalId)
    {
        var opened = new FlushedFile(files, folder, FlushedMarks.None);
        if (journalId == 0 || !files.FileExists(opened.Path))
            return opened;
        opened.Read();
        if (opened.Marks.JournalId != journalId)
        {
            throw new CorruptionException(
                opened.Path, 24, $"it was written for journal {opened.Marks.JournalId:x16}, and the one that belongs here is {journalId:x16}");
        }

        return opened;
    }

    /// <summary>The file's one part that counts; throws where it is damaged.</summary>
    public static InspectedPart Inspect(IFileSystem files, string path)
    {
        var file = new FlushedFile(files, path[..path.LastIndexOf('/')], FlushedMarks.None);
        file.Read();
        FlushedMarks marks = file.Marks;
        return new InspectedPart((long)(file._sequence % 2) * file._recordBytes, file._recordBytes, "flushed",
        [
            new("journal", marks.JournalId.ToString("x16", CultureInfo.InvariantCulture)),
            new("end", marks.End.ToString()),
            .. marks.Flushed.Select(static (position, stream) =>
                new KeyValuePair<string, string>(string.Create(CultureInfo.InvariantCulture, $"stream {stream}"), position.ToString())),
            .. marks.Others.Select(static other =>
                new KeyValuePair<string, string>(string.Create(CultureInfo.InvariantCulture, $"stream {other.Stream}"), other.Position.ToString())),
        ]);
    }

    /// <summary>
    /// Returns when it is on stable storage that the files hold so much, and the journal at least as much as it was said to
    /// before. Throws, and what it said stays true, where the disk refuses.
    /// </summary>
    /// <param name="journalId">Whose positions they are.</param>
    /// <param name="flushed">By stream, each of it durable in the engine's own files.</param>
    /// <param name="end">Durable in the journal; <see cref="LogPosition.Zero"/> where that is not to be said.</param>
    /// <param name="others">Of streams whose numbers are beyond those.</param>
    public void Save(
        ulong journalId, IReadOnlyList<LogPosition> flushed, LogPosition end, IReadOnlyList<(uint Stream, LogPosition Position)>? others = null)
    {
        if (Marks.JournalId == journalId && end < Marks.End)
            end = Marks.End;
        FlushedMarks marks = new(journalId, [.. flushed], end) { Others = [.. others ?? []] };
        if (marks.SaysTheSameAs(Marks))
            return;
        int needed = HeadBytes + (flushed.Count * sizeof(ulong)) + (marks.Others.Count * OtherBytes) + ChecksumBytes;
        int recordBytes = (needed + RecordBytesUnit - 1) / RecordBytesUnit * RecordBytesUnit;
        if (recordBytes == _recordBytes)
            WriteInPlace(marks);
        else
            WriteAnew(marks, recordBytes);
        Marks = marks;
    }

    private static void Encode(Span<byte> record, FlushedMarks marks, ulong sequence)
    {
        record.Clear();
        Magic.CopyTo(record);

        // Whoever has only what the first version knew is read by it, too.
        BinaryPrimitives.WriteUInt32LittleEndian(record[8..], marks.Others.Count == 0 ? FirstFormatVersion : FormatVersion);
        BinaryPrimitives.WriteInt32LittleEndian(record[CountOffset..], marks.Flushed.Count);
        BinaryPrimitives.WriteInt32LittleEndian(record[OtherCountOffset..], marks.Others.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(record[16..], sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(record[24..], marks.JournalId);
        BinaryPrimitives.WriteUInt64LittleEndian(record[32..], marks.End.Value);
        for (int i = 0; i < marks.Flushed.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(record[(HeadBytes + (i * sizeof(ulong)))..], marks.Flushed[i].Value);
        Span<byte> rest = record[(HeadBytes + (marks.Flushed.Count * sizeof(ulong)))..];
        foreach ((uint stream, LogPosition position) in marks.Others)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(rest, stream);
            BinaryPrimitives.WriteUInt64LittleEndian(rest[4..], position.Value);
            rest = rest[OtherBytes..];
        }

        BinaryPrimitives.WriteUInt32LittleEndian(record[^ChecksumBytes..], Crc32C.Compute(record[..^ChecksumBytes]));
    }

    private static (ulong Sequence, FlushedMarks Marks)? Decode(ReadOnlySpan<byte> record, string path)
    {
        if (!record[..8].SequenceEqual(Magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(record[^ChecksumBytes..]) != Crc32C.Compute(record[..^ChecksumBytes]))
            return null;
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(record[8..]);
        if (version > FormatVersion)
            throw new FormatTooNewException(path, version, FormatVersion);
        int count = BinaryPrimitives.ReadInt32LittleEndian(record[CountOffset..]);
        int otherCount = BinaryPrimitives.ReadInt32LittleEndian(record[OtherCountOffset..]);
        int room = record.Length - HeadBytes - ChecksumBytes;
        if (count < 0 || count > room / sizeof(ulong) || otherCount < 0 || otherCount > (room - (count * sizeof(ulong))) / OtherBytes)
            return null;
        var flushed = new LogPosition[count];
        for (int i = 0; i < count; i++)
            flushed[i] = new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(record[(HeadBytes + (i * sizeof(ulong)))..]));
        var others = new (uint Stream, LogPosition Position)[otherCount];
        ReadOnlySpan<byte> rest = record[(HeadBytes + (count * sizeof(ulong)))..];
        foreach (ref (uint Stream, LogPosition Position) other in others.AsSpan())
        {
            other = (BinaryPrimitives.ReadUInt32LittleEndian(rest), new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(rest[4..])));
            rest = rest[OtherBytes..];
        }

        var marks = new FlushedMarks(
            BinaryPrimitives.ReadUInt64LittleEndian(record[24..]), flushed, new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(record[32..])))
        {
            Others = others,
        };
        return (BinaryPrimitives.ReadUInt64LittleEndian(record[16..]), marks);
    }

    private void Read()
    {
        using IFile file = _files.Open(Path, FileOpenMode.Read);
        long length = file.Length;
        if (length == 0 || length % (2 * RecordBytesUnit) != 0 || length > Array.MaxLength)
            throw new CorruptionException(Path, 0, $"it is {length} bytes long, which is no two records");
        byte[] bytes = new byte[length];
        if (file.Read(bytes, 0) != bytes.Length)
            throw new CorruptionException(Path, 0, "it is shorter than the system says");
        int half = bytes.Length / 2;
        bool found = false;
        for (int i = 0; i < 2; i++)
        {
            if (Decode(bytes.AsSpan(i * half, half), Path) is not var (sequence, marks) || (found && sequence < _sequence))
                continue;
            (_sequence, Marks) = (sequence, marks);
            found = true;
        }

        if (!found)
            throw new CorruptionException(Path, 0, "neither of its two records is whole");
        _recordBytes = half;
        _mayBeInCacheOnly = true;
    }

    // The number moves on only with success: after a failure the same record is written again, and the other one stays.
    private void WriteInPlace(FlushedMarks marks)
    {
        byte[] record = new byte[_recordBytes];
        Encode(record, marks, _sequence + 1);
        using (IFile file = _files.Open(Path, FileOpenMode.ReadWrite))
        {
            if (_mayBeInCacheOnly)
            {
                // What was read, and stays when this write tears: a process that was killed may have written it, and not synced.
                file.Sync(SyncMode.Full);
                _files.SyncFolder(_folder);
                _mayBeInCacheOnly = false;
            }

            file.Write(record, (long)((_sequence + 1) % 2) * _recordBytes);
            file.Sync(SyncMode.Data);
        }

        _sequence++;
    }

    private void WriteAnew(FlushedMarks marks, int recordBytes)
    {
        byte[] both = new byte[2 * recordBytes];
        Encode(both.AsSpan(0, recordBytes), marks, 0);
        AtomicFile.Replace(_files, Path, both);
        (_sequence, _recordBytes, _mayBeInCacheOnly) = (0, recordBytes, false);
    }
}

/// <summary>What a <see cref="FlushedFile"/> says.</summary>
/// <param name="JournalId">Whose positions they are.</param>
/// <param name="Flushed">By stream: the engine's files hold the log up to here at least.</param>
/// <param name="End">The journal reaches so far at least.</param>
public sealed record FlushedMarks(ulong JournalId, IReadOnlyList<LogPosition> Flushed, LogPosition End)
{
    public static FlushedMarks None { get; } = new(0, [], LogPosition.Zero);

    /// <summary>As <see cref="Flushed"/>, of streams whose numbers are beyond those.</summary>
    public IReadOnlyList<(uint Stream, LogPosition Position)> Others { get; init; } = [];

    /// <summary>
    /// What is wrong with an engine's files that hold the log up to <paramref name="position"/>; null where that is enough.
    /// </summary>
    public string? Missing(uint stream, LogPosition position)
    {
        LogPosition held = stream < (uint)Flushed.Count
            ? Flushed[(int)stream]
            : Others.FirstOrDefault(o => o.Stream == stream).Position;
        return position < held
            ? $"its files hold the log up to position {position}, and held it up to {held} before the journal let go of that: "
                + "the end of its manifest is lost, or it is an older copy"
            : null;
    }

    internal bool SaysTheSameAs(FlushedMarks other) =>
        JournalId == other.JournalId && End == other.End && Flushed.SequenceEqual(other.Flushed) && Others.SequenceEqual(other.Others);
}
