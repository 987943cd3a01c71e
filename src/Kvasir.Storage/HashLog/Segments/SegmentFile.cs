using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>An open segment, and how much of it is garbage. Reads from any thread.</summary>
internal sealed class SegmentFile : IDisposable
{
    private readonly ulong _identity;
    private long _deadBytes;
    private long _deadEntries;

    private SegmentFile(IFile file, ulong identity, SegmentFacts facts)
    {
        File = file;
        _identity = identity;
        Facts = facts;
    }

    public IFile File { get; }

    public SegmentFacts Facts { get; }

    /// <summary>Its place among the open segments; 0 while it has none.</summary>
    public int Slot { get; set; }

    /// <summary>What is dead in it was kept for this oldest of the snapshots: no use to look while that lives.</summary>
    public ulong? HeldBy { get; set; }

    /// <summary>A merge reads it. By those who merge.</summary>
    public bool IsBusy { get; set; }

    public long DeadBytes => Interlocked.Read(ref _deadBytes);

    public long DeadEntries => Interlocked.Read(ref _deadEntries);

    /// <summary>Opens a file that must be there, as long as the manifest says, and begin as this segment does.</summary>
    public static SegmentFile Open(IFileSystem files, string folder, ulong identity, SegmentFacts facts)
    {
        string path = LogFiles.SegmentPath(folder, facts.Number);
        if (!files.FileExists(path))
            throw new FileMissingException(path);
        IFile file = files.Open(path, FileOpenMode.Read);
        try
        {
            if (file.Length != facts.Bytes)
                throw new CorruptionException(path, Math.Min(file.Length, facts.Bytes), $"the file has {file.Length} bytes instead of {facts.Bytes}");
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            int read = file.Read(header, 0);
            SegmentFormat.CheckSegmentHeader(header[..read], path, identity, facts.Number);
            return new SegmentFile(file, identity, facts);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public SegmentScanner Scan(int partBytes = SegmentScanner.PartBytes) => new(File, _identity, Facts, partBytes);

    /// <summary>
    /// Reads the record at a location into the buffer's end, whose bytes the record then points to. One read of the disk, but for
    /// records longer than a location can say.
    /// </summary>
    public SegmentRecord Read(ulong location, BytesBuffer buffer)
    {
        long offset = Location.Offset(location);
        int length = Location.Length(location);
        Span<byte> bytes = buffer.GetSpan(length)[..length];
        ReadWhole(bytes, offset);
        if (Location.IsLonger(location))
        {
            long size = SegmentFormat.SizeByHeader(bytes);
            if (size < length || size > Facts.Bytes - offset)
                throw new CorruptionException(File.Path, offset, "not a record");
            bytes = buffer.GetSpan((int)size)[..(int)size];
            ReadWhole(bytes, offset);
        }

        if (!SegmentFormat.TryReadRecord(bytes, _identity, Facts.Number, offset, out SegmentRecord record))
            throw new CorruptionException(File.Path, offset, "record checksum");
        return record;
    }

    /// <summary>A record of so many bytes is garbage from now on.</summary>
    public void AddDead(int bytes)
    {
        Interlocked.Increment(ref _deadEntries);
        Interlocked.Add(ref _deadBytes, bytes);
    }

    public void Dispose() => File.Dispose();

    private void ReadWhole(Span<byte> to, long offset)
    {
        if (File.Read(to, offset) != to.Length)
            throw new CorruptionException(File.Path, offset, "the file ends early");
    }
}
