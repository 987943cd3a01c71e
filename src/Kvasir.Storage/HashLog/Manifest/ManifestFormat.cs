using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Manifest;

/// <summary>Bytes of the manifest, as docs/formats/hash-log.md tells them.</summary>
internal static class ManifestFormat
{
    public const uint Version = 1;
    public const int HeaderBytes = 96;
    public const int SegmentBytes = 80;
    public const int TrailerBytes = 4;

    private const long BytesMax = 1L << 30;
    private const uint Unbounded = uint.MaxValue;

    private static ReadOnlySpan<byte> Magic => "KVASIRHM"u8;

    public static void Write(BytesBuffer to, LogState state)
    {
        to.Clear();
        Span<byte> header = to.GetSpan(HeaderBytes)[..HeaderBytes];
        header.Clear();
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], state.Segments.Count);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], state.Ranges.All.Count);
        WriteNumber(header, 24, state.Identity);
        WriteNumber(header, 32, state.Owner.Store);
        WriteNumber(header, 40, state.Owner.Part);
        WriteNumber(header, 48, state.FlushedPosition.Value);
        WriteNumber(header, 56, state.FlushedSequence);
        WriteNumber(header, 64, state.Digest.Value);
        WriteNumber(header, 72, state.NextFileNumber);
        to.Advance(HeaderBytes);
        foreach (SegmentFacts segment in state.Segments)
        {
            Span<byte> line = to.GetSpan(SegmentBytes)[..SegmentBytes];
            WriteNumber(line, 0, segment.Number);
            WriteNumber(line, 8, (ulong)segment.Bytes);
            WriteNumber(line, 16, segment.Rank);
            WriteNumber(line, 24, segment.SmallestSequence);
            WriteNumber(line, 32, segment.LargestSequence);
            WriteNumber(line, 40, segment.CleanedTo);
            WriteNumber(line, 48, (ulong)segment.Entries);
            WriteNumber(line, 56, (ulong)segment.Tombstones);
            WriteNumber(line, 64, (ulong)segment.ExpiringBytes);
            WriteNumber(line, 72, (ulong)segment.LastDeadlineMs);
            to.Advance(SegmentBytes);
        }

        foreach (RangeDeletion range in state.Ranges.All)
        {
            Span<byte> line = to.GetSpan(16 + range.Start.Length + (range.End?.Length ?? 0));
            WriteNumber(line, 0, range.Sequence);
            BinaryPrimitives.WriteUInt32LittleEndian(line[8..], (uint)range.Start.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(line[12..], range.End is null ? Unbounded : (uint)range.End.Length);
            to.Advance(16);
            to.Append(range.Start);
            to.Append(range.End ?? []);
        }

        uint crc = Crc32C.Compute(to.WrittenSpan);
        BinaryPrimitives.WriteUInt32LittleEndian(to.GetSpan(TrailerBytes), crc);
        to.Advance(TrailerBytes);
    }

    public static LogState Read(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        if (file.Length > BytesMax)
            throw new CorruptionException(path, 0, "the file is too large to be what it should be");
        var bytes = new byte[file.Length];
        if (file.Read(bytes, 0) != bytes.Length)
            throw new CorruptionException(path, 0, "the file ends early");
        return Read(bytes, path);
    }

    private static LogState Read(ReadOnlySpan<byte> bytes, string path)
    {
        if (bytes.Length < HeaderBytes + TrailerBytes || !bytes.StartsWith(Magic))
            throw new CorruptionException(path, 0, "not the manifest of a hash log (magic)");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[^TrailerBytes..]) != Crc32C.Compute(bytes[..^TrailerBytes]))
            throw new CorruptionException(path, 0, "checksum");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version > Version)
            throw new FormatTooNewException(path, version, Version);
        int segments = BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]);
        int ranges = BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]);
        ReadOnlySpan<byte> rest = bytes[HeaderBytes..^TrailerBytes];
        if (segments < 0 || ranges < 0 || (long)segments * SegmentBytes > rest.Length)
            throw new CorruptionException(path, 12, "more segments than fit");
        var facts = new List<SegmentFacts>(segments);
        for (int i = 0; i < segments; i++, rest = rest[SegmentBytes..])
            facts.Add(ReadSegment(rest));
        var deletions = new List<RangeDeletion>();
        for (int i = 0; i < ranges; i++)
        {
            if (!TryReadRange(ref rest, out RangeDeletion? range))
                throw new CorruptionException(path, bytes.Length - TrailerBytes - rest.Length, "not the deletion of a range");
            deletions.Add(range);
        }

        if (!rest.IsEmpty)
            throw new CorruptionException(path, bytes.Length - TrailerBytes - rest.Length, "bytes after the end");
        return new LogState
        {
            Identity = ReadNumber(bytes, 24),
            Owner = new EngineOwner(ReadNumber(bytes, 32), ReadNumber(bytes, 40)),
            FlushedPosition = new LogPosition(ReadNumber(bytes, 48)),
            FlushedSequence = ReadNumber(bytes, 56),
            Digest = new StateDigest(ReadNumber(bytes, 64)),
            NextFileNumber = ReadNumber(bytes, 72),
            Segments = facts,
            Ranges = new RangeDeletions([.. deletions]),
        };
    }

    private static SegmentFacts ReadSegment(ReadOnlySpan<byte> line) => new()
    {
        Number = ReadNumber(line, 0),
        Bytes = (long)ReadNumber(line, 8),
        Rank = ReadNumber(line, 16),
        SmallestSequence = ReadNumber(line, 24),
        LargestSequence = ReadNumber(line, 32),
        CleanedTo = ReadNumber(line, 40),
        Entries = (long)ReadNumber(line, 48),
        Tombstones = (long)ReadNumber(line, 56),
        ExpiringBytes = (long)ReadNumber(line, 64),
        LastDeadlineMs = (long)ReadNumber(line, 72),
    };

    private static bool TryReadRange(ref ReadOnlySpan<byte> rest, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out RangeDeletion? range)
    {
        range = null;
        if (rest.Length < 16)
            return false;
        ulong sequence = ReadNumber(rest, 0);
        uint start = BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]);
        uint end = BinaryPrimitives.ReadUInt32LittleEndian(rest[12..]);
        bool isBounded = end != Unbounded;
        if (16L + start + (isBounded ? end : 0) > rest.Length)
            return false;
        range = new RangeDeletion(
            rest.Slice(16, (int)start).ToArray(), isBounded ? rest.Slice(16 + (int)start, (int)end).ToArray() : null, sequence);
        rest = rest[(16 + (int)start + (isBounded ? (int)end : 0))..];
        return true;
    }

    private static void WriteNumber(Span<byte> to, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(to[at..], value);

    private static ulong ReadNumber(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt64LittleEndian(from[at..]);
}
