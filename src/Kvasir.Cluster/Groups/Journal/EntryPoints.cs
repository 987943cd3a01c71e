using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// Where the entries of one log lie in the journal: a few points, from each of which on the journal is walked. A stretch is
/// the entries from one point up to the next; they come in order, each once, in the records from its place on, though
/// records of others and entries that were truncated since may lie among them. Memory: a point for every
/// <see cref="BytesApart"/> bytes of entries, or every <see cref="DistanceApart"/> bytes of journal where they are rare.
/// </summary>
internal sealed class EntryPoints
{
    private const int BytesApart = 4 << 10;
    private const ulong DistanceApart = 1 << 20;

    /// <summary>
    /// Of the journal, walked for one message, or for one turn's entries to apply: records of other logs lie between, which are read in
    /// their turns, while they are at hand.
    /// </summary>
    public const ulong SpanMax = 1 << 20;

    private Point[] _points = [];
    private int _count;
    private ulong _bytes;
    private bool _isCut;

    /// <summary>Behind the last entry that is in the journal.</summary>
    public LogIndex End { get; private set; }

    /// <summary>Where the oldest record begins that is needed; the largest number when none is.</summary>
    public ulong OldestStart => _count == 0 ? ulong.MaxValue : _points[0].Start;

    public int Count => _count;

    /// <summary>Entries were written, in the record that begins at <paramref name="start"/>.</summary>
    public void Add(LogIndex first, LogIndex last, ulong start, int bytes)
    {
        // What follows a truncation overwrites indexes of the stretch before, so it must begin a stretch of its own.
        bool isNew = _count == 0 || _isCut || bytes >= BytesApart;
        if (!isNew)
        {
            ref readonly Point newest = ref _points[_count - 1];
            isNew = _bytes - newest.BytesBefore >= BytesApart || start - newest.Start >= DistanceApart;
        }

        if (isNew)
        {
            if (_count == _points.Length)
                Array.Resize(ref _points, Math.Max(4, _count * 2));
            _points[_count++] = new Point(first, start, _bytes);
        }

        _isCut = false;
        _bytes += (ulong)bytes;
        End = last.Next;
    }

    public void TruncateFrom(LogIndex index)
    {
        if (index >= End)
            return;
        while (_count > 0 && _points[_count - 1].First >= index)
            _count--;
        End = index;
        _isCut = true;
    }

    /// <summary>The entries up to this index are not needed any more.</summary>
    public void CompactTo(LogIndex index)
    {
        if (index.Next >= End)
        {
            Clear();
            return;
        }

        int drop = 0;
        while (drop + 1 < _count && _points[drop + 1].First <= index.Next)
            drop++;
        if (drop == 0)
            return;
        Array.Copy(_points, drop, _points, 0, _count - drop);
        _count -= drop;
        if (_points.Length > 64 && _count < _points.Length / 4)
            Array.Resize(ref _points, _points.Length / 2);
    }

    public void Clear()
    {
        _points = [];
        _count = 0;
        _isCut = false;
        End = LogIndex.Zero;
    }

    /// <summary>The stretch with this entry: where to begin to walk, and the first index behind the stretch.</summary>
    public bool TryFind(LogIndex index, out ulong start, out LogIndex end)
    {
        int at = StretchOf(index);
        start = at < 0 ? 0 : _points[at].Start;
        end = at < 0 ? LogIndex.Zero : EndOf(at);
        return at >= 0;
    }

    /// <summary>
    /// As <see cref="Raft.Replication.IEntrySizes.Fit"/>, by the mean size of each stretch: exact enough to fill messages.
    /// </summary>
    public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
    {
        bytes = 0;
        LogIndex fitting = first;
        LogIndex next = first;
        int begin = StretchOf(first);
        for (int at = begin; at >= 0 && at < _count && next <= last; at++)
        {
            if (_points[at].Start - _points[begin].Start > SpanMax)
                break;
            LogIndex end = EndOf(at);
            ulong bytesBehind = at + 1 < _count ? _points[at + 1].BytesBefore : _bytes;
            long mean = (long)Math.Max(1, (bytesBehind - _points[at].BytesBefore) / (end - _points[at].First));
            ulong wanted = LogIndex.Least(end.Previous, last) - next + 1;
            ulong taken = Math.Min(wanted, (ulong)Math.Max(0, (bytesMax - bytes) / mean));
            if (taken == 0 && next == first)
                taken = 1;
            bytes += (long)taken * mean;
            next += taken;
            if (taken > 0)
                fitting = next.Previous;
            if (taken < wanted)
                break;
        }

        return fitting;
    }

    /// <summary>
    /// Bytes of the entries from this one to the end, or of those that are still there, by the mean size of each stretch. What was
    /// truncated lately may be among them.
    /// </summary>
    public long BytesFrom(LogIndex first)
    {
        if (_count == 0 || first >= End)
            return 0;
        int at = Math.Max(StretchOf(first), 0);
        LogIndex begin = LogIndex.Greatest(first, _points[at].First);
        ulong bytesBehind = at + 1 < _count ? _points[at + 1].BytesBefore : _bytes;
        double share = (double)(EndOf(at) - begin) / (EndOf(at) - _points[at].First);
        return (long)(_bytes - bytesBehind) + (long)((bytesBehind - _points[at].BytesBefore) * share);
    }

    private LogIndex EndOf(int at) => at + 1 < _count ? _points[at + 1].First : End;

    private int StretchOf(LogIndex index)
    {
        if (_count == 0 || index < _points[0].First || index >= End)
            return -1;
        int low = 0, high = _count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) >>> 1;
            if (_points[middle].First <= index)
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }

    /// <param name="First">The first entry of the stretch.</param>
    /// <param name="Start">The logical place of the record that holds it.</param>
    /// <param name="BytesBefore">Of all entries that were written before it.</param>
    private readonly record struct Point(LogIndex First, ulong Start, ulong BytesBefore);
}
