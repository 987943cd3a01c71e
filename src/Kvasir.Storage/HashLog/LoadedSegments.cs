using System.Buffers;
using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog;

/// <summary>The segments that a manifest names, opened, and the index of what they hold, from their hint files.</summary>
internal sealed record LoadedSegments(KeyIndex Index, SegmentTable Table, SegmentFile[] Segments)
{
    // So many nanoseconds as memory takes, at a few for each.
    private const int EntriesAhead = 16;

    public static LoadedSegments Load(string folder, EngineEnvironment environment, LogState state, ReclamationEpoch epoch, SegmentHandles handles)
    {
        var index = new KeyIndex(environment.Memory, epoch, state.Segments.Sum(s => s.Entries));
        var table = new SegmentTable(environment.Memory);
        var segments = new List<SegmentFile>();
        try
        {
            // In the order of their ranks: what comes later is newer.
            foreach (SegmentFacts facts in state.Segments)
            {
                SegmentFile segment = SegmentFile.Open(environment.Files, handles, folder, state.Identity, facts);
                segments.Add(segment);
                table.Add(segment, ulong.MaxValue);
                byte[] hints = HintsOf(folder, environment.Files, state.Identity, segment);
                try
                {
                    Add(hints, segment, index, table);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(hints);
                }
            }
        }
        catch
        {
            foreach (SegmentFile segment in segments)
                segment.Dispose();
            index.Free();
            throw;
        }

        return new LoadedSegments(index, table, [.. segments]);
    }

    /// <summary>Of the hint file; where that is missing or damaged of the segment, and then the file is made anew.</summary>
    private static byte[] HintsOf(string folder, IFileSystem files, ulong identity, SegmentFile segment)
    {
        try
        {
            if (files.FileExists(LogFiles.HintPath(folder, segment.Facts.Number)))
                return HintFile.ReadBytes(files, folder, identity, segment.Facts);
        }
        catch (CorruptionException)
        {
            // The segment says it, too.
        }

        Span<HintEntry> entries = CollectionsMarshal.AsSpan(EntriesOf(segment, identity));
        try
        {
            HintFile.Write(files, folder, identity, segment.Facts.Number, entries);
        }
        catch (DiskFailedException)
        {
            // The next start tries again.
        }

        return HintFile.ToBytes(entries);
    }

    /// <summary>All records of a segment, which is read for it from its beginning to its end; throws where it is damaged.</summary>
    public static List<HintEntry> EntriesOf(SegmentFile segment, ulong identity)
    {
        var entries = new List<HintEntry>();
        SegmentScanner scanner = segment.Scan();
        while (scanner.MoveNext(out SegmentRecord record))
        {
            entries.Add(new HintEntry(
                StableHash.Hash64(record.Key),
                KeyCheck.Of(record.Key, identity),
                (uint)(scanner.Offset / SegmentFormat.UnitBytes),
                (uint)(scanner.Size / SegmentFormat.UnitBytes),
                record.Kind,
                record.IsSuperseded));
        }

        if (entries.Count != segment.Facts.Entries)
            throw new CorruptionException(segment.Path, 0, $"it holds {entries.Count} records instead of {segment.Facts.Entries}");
        return entries;
    }

    private static unsafe void Add(ReadOnlySpan<byte> hints, SegmentFile segment, KeyIndex index, SegmentTable table)
    {
        int count = (int)segment.Facts.Entries;
        for (int i = 0; i < count; i++)
        {
            // They go by token, and so does the index: what memory is asked for ahead of time is there when it is needed.
            if (i + EntriesAhead < count)
                index.Prefetch(HintFile.EntryAt(hints, i + EntriesAhead).Token);
            HintEntry hint = HintFile.EntryAt(hints, i);
            if (hint.IsSuperseded)
            {
                segment.AddDead(hint.Bytes);
                continue;
            }

            ulong location = Location.OnDisk(segment.Slot, hint.OffsetUnits, hint.LengthUnits);
            using KeyIndex.HeldShard held = index.Lock(hint.Token);
            ulong* there = held.Find(hint.Token, hint.Check);
            if (there == null)
            {
                held.Insert(hint.Token, hint.Check, location);
                continue;
            }

            table.NoteDead(*there);
            *there = location;
        }
    }
}

/// <summary>What tells keys of one token apart in the index, without their bytes: nobody outside can choose keys that have it in common.</summary>
internal static class KeyCheck
{
    public static uint Of(ReadOnlySpan<byte> key, ulong identity) => (uint)StableHash.Hash64(key, identity);
}
