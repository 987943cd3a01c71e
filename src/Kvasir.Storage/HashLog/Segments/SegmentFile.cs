using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>A segment that is read, its file open or not, and how much of it is garbage. Reads from any thread.</summary>
internal sealed class SegmentFile : IDisposable
{
    private const ulong NotHeld = ulong.MaxValue;

    private readonly SegmentHandles _handles;
    private readonly ulong _identity;
    private SegmentHandle? _handle;
    private ulong _heldBy = NotHeld;
    private long _deadBytes;
    private long _deadEntries;
    private DeadRecords? _dead;
    private bool _ignoresNoted;

    private SegmentFile(SegmentHandles handles, string path, ulong identity, SegmentFacts facts)
    {
        _handles = handles;
        Path = path;
        _identity = identity;
        Facts = facts;
    }

    public string Path { get; }

    /// <summary>While it is open. By those who open and close.</summary>
    public SegmentHandle? Handle
    {
        get => Volatile.Read(ref _handle);
        set => Volatile.Write(ref _handle, value);
    }

    /// <summary>For good. By those who open and close.</summary>
    public bool IsClosed { get; set; }

    /// <summary>Read since the handles were last looked through; a hint.</summary>
    public bool IsRecentlyUsed { get; set; }

    public SegmentFacts Facts { get; }

    /// <summary>Its place among the open segments; 0 while it has none.</summary>
    public int Slot { get; set; }

    /// <summary>What is dead in it was kept for this oldest of the snapshots: no use to look while that lives.</summary>
    public ulong? HeldBy
    {
        get => Volatile.Read(ref _heldBy) is var held && held == NotHeld ? null : held;
        set => Volatile.Write(ref _heldBy, value ?? NotHeld);
    }

    /// <summary>A merge could not drop the tombstones in it: the next could not, either. By those who merge.</summary>
    public bool KeepsTombstones { get; set; }

    /// <summary>A merge reads it. By those who merge.</summary>
    public bool IsBusy { get; set; }

    public long DeadBytes => Interlocked.Read(ref _deadBytes);

    public long DeadEntries => Interlocked.Read(ref _deadEntries);

    /// <summary>Opens a file that must be there, as long as the manifest says, and begin as this segment does.</summary>
    public static SegmentFile Open(IFileSystem files, SegmentHandles handles, string folder, ulong identity, SegmentFacts facts)
    {
        string path = LogFiles.SegmentPath(folder, facts.Number);
        if (!files.FileExists(path))
            throw new FileMissingException(path);
        var segment = new SegmentFile(handles, path, identity, facts);
        SegmentHandle handle = handles.Open(segment);
        try
        {
            long length = handle.File.Length;
            if (length != facts.Bytes)
                throw new CorruptionException(path, Math.Min(length, facts.Bytes), $"the file has {length} bytes instead of {facts.Bytes}");
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            int read = handle.File.Read(header, 0);
            SegmentFormat.CheckSegmentHeader(header[..read], path, identity, facts.Number);
            return segment;
        }
        catch
        {
            segment.Dispose();
            throw;
        }
        finally
        {
            handle.Release();
        }
    }

    public SegmentScanner Scan(int partBytes = SegmentScanner.PartBytes) => new(this, _identity, partBytes);

    /// <summary>How many of the bytes from an offset on there are.</summary>
    public int Read(Span<byte> to, long offset)
    {
        SegmentHandle? handle = Volatile.Read(ref _handle);
        if (handle is null || !handle.TryAddReference())
            handle = _handles.Open(this);
        else if (!IsRecentlyUsed)
            IsRecentlyUsed = true;
        try
        {
            return handle.File.Read(to, offset);
        }
        finally
        {
            handle.Release();
        }
    }

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
                throw new CorruptionException(Path, offset, "not a record");
            bytes = buffer.GetSpan((int)size)[..(int)size];
            ReadWhole(bytes, offset);
        }

        if (!SegmentFormat.TryReadRecord(bytes, _identity, Facts.Number, offset, out SegmentRecord record))
            throw new CorruptionException(Path, offset, "record checksum");
        return record;
    }

    /// <summary>The record in bytes that were read at a location; false when they are of something else.</summary>
    public bool TryParse(ulong location, ReadOnlySpan<byte> bytes, out SegmentRecord record) =>
        SegmentFormat.TryReadRecord(bytes, _identity, Facts.Number, Location.Offset(location), out record);

    /// <summary>A record of so many bytes is garbage from now on.</summary>
    public void AddDead(int bytes)
    {
        Interlocked.Increment(ref _deadEntries);
        Interlocked.Add(ref _deadBytes, bytes);
    }

    /// <summary>Where a record is garbage, for the next merge. One at a time: whoever opens the engine, then the job that flushes.</summary>
    public void NoteDead(uint offsetUnits, MemoryBudget budget)
    {
        DeadRecords? dead = _dead;
        if (dead is null)
            Volatile.Write(ref _dead, dead = new DeadRecords(budget));
        dead.Add(offsetUnits);
    }

    /// <summary>What was noted until now, and is still being noted maybe.</summary>
    public DeadMarks MarkDead()
    {
        var marks = new DeadMarks(Facts.Bytes);
        Volatile.Read(ref _dead)?.CopyTo(marks);
        return marks;
    }

    /// <summary>The index may lead to one of those that were noted: a merge has to look for each.</summary>
    public bool IgnoresNoted => Volatile.Read(ref _ignoresNoted);

    /// <summary>From now on, <see cref="IgnoresNoted"/>.</summary>
    public void IgnoreNoted() => Volatile.Write(ref _ignoresNoted, true);

    public void Dispose()
    {
        _handles.Close(this);
        _dead?.Free();
    }

    private void ReadWhole(Span<byte> to, long offset)
    {
        if (Read(to, offset) != to.Length)
            throw new CorruptionException(Path, offset, "the file ends early");
    }
}
