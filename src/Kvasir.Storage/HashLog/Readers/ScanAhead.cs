using System.Buffers;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog.Readers;

/// <summary>
/// Records that a scan will come to, read before by where they lie: segments are written by token, so that what a scan comes to lies side by
/// side in each of them. Only a hint: what is not here, or is not what a location names any more, is read by itself.
/// </summary>
internal sealed class ScanAhead : IDisposable
{
    /// <summary>Of memory for records, so many scans as there may be.</summary>
    public const int BytesMax = 2 << 20;

    private const int BytesFirst = 16 << 10;

    // About as many bytes as come in the time that another read takes to begin.
    private const int GapBytesMax = 16 << 10;

    private readonly List<ulong> _locations = [];
    private readonly List<int> _places = [];
    private byte[] _bytes = [];
    private int _used;
    private int _wanted = BytesFirst;

    /// <summary>How many bytes of records are asked for next; grows as the scan goes on.</summary>
    public int WantedBytes => _wanted;

    /// <summary>The scan begins anew somewhere else.</summary>
    public void Restart()
    {
        _wanted = BytesFirst;
        Clear();
    }

    /// <summary>
    /// Reads the records of entries from a place on, as many as are wanted; returns the place behind them. Inside the epoch.
    /// </summary>
    public int Read(List<IndexEntry> entries, int from, KeyIndex index, SegmentTable table)
    {
        Clear();
        int at = from;
        long wanted = 0;
        for (; at < entries.Count && (wanted < _wanted || entries[at].Token == entries[at - 1].Token); at++)
        {
            // What the entry said when it was read may name a segment that is gone.
            ulong location = index.Lookup(entries[at].Token, entries[at].Check);
            if (location == Location.None || location == Location.Removed || Location.IsMemory(location) || Location.IsLonger(location))
                continue;
            wanted += Location.Length(location);
            _locations.Add(location);
        }

        // By segment and place.
        _locations.Sort();
        Reserve((int)Math.Min(BytesMax + (BytesMax / 2), 2 * wanted));
        for (int first = 0; first < _locations.Count;)
            first = ReadStretch(first, table);
        _wanted = Math.Min(_wanted * 4, BytesMax);
        return at;
    }

    /// <summary>The record at a location, if it was read before and is still the one that lies there.</summary>
    public bool TryFind(ulong location, SegmentFile segment, out SegmentRecord record)
    {
        record = default;
        int index = _locations.BinarySearch(location);
        return index >= 0 && _places[index] >= 0 && segment.TryParse(location, _bytes.AsSpan(_places[index], Location.Length(location)), out record);
    }

    public void Dispose()
    {
        Clear();
        if (_bytes.Length > 0)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
    }

    private void Clear()
    {
        _locations.Clear();
        _places.Clear();
        _used = 0;
    }

    private void Reserve(int bytes)
    {
        if (_bytes.Length >= bytes)
            return;
        if (_bytes.Length > 0)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = ArrayPool<byte>.Shared.Rent(bytes);
    }

    /// <summary>Reads neighbours together; the place of the first that is none.</summary>
    private int ReadStretch(int first, SegmentTable table)
    {
        long start = Location.Offset(_locations[first]);
        long end = start;
        int next = first;
        for (; next < _locations.Count; next++)
        {
            ulong location = _locations[next];
            long offset = Location.Offset(location);
            if (Location.Slot(location) != Location.Slot(_locations[first]) || offset - end > GapBytesMax || _used + (offset - start) + Location.Length(location) > _bytes.Length)
                break;
            end = Math.Max(end, offset + Location.Length(location));
        }

        int bytes = (int)(end - start);
        bool isRead = next > first && TryRead(table[_locations[first]], start, _bytes.AsSpan(_used, bytes));
        next = Math.Max(next, first + 1);
        for (int i = first; i < next; i++)
            _places.Add(isRead ? _used + (int)(Location.Offset(_locations[i]) - start) : -1);
        if (isRead)
            _used += bytes;
        return next;
    }

    /// <summary>A failure is told of the record that has it, if the scan comes to it: between them may lie garbage.</summary>
    private static bool TryRead(SegmentFile segment, long offset, Span<byte> to)
    {
        try
        {
            return segment.Read(to, offset) == to.Length;
        }
        catch (StorageException)
        {
            return false;
        }
    }
}
