using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// Room for keys in memory: of this engine, and of all that share its memory. A key that was deleted takes its room until its tombstone
/// is in a file, nothing in memory leads to it any more, and a merge has dropped it. All of that comes by itself where much is written;
/// where there is hardly any room left, and nothing is written for that reason, it is asked for.
/// </summary>
internal sealed unsafe partial class HashLogEngine
{
    // Of all keys: fewer that are gone give back hardly a page, and are not worth a flush, and not worth a merge.
    private const int GonePartFlushed = 8;
    private const int GonePartMerged = 16;
    private const int GoneAtLeast = 16;

    private const string RoomAdvice =
        "delete some, or give more memory; the room of what is deleted comes in the background, once it is an eighth of them, and not for what is in the same batch";

    // Keys that were deleted since room was made last; by the writer.
    private long _gone;

    // With this flushed, memory lets go of all that files have; zero for nothing.
    private ulong _roomTarget;

    /// <summary>What the keys may still take; negative after a start with less memory than before.</summary>
    private long IndexRoomBytes => Math.Min(_options.IndexBytes - _index.UsedBytes, _budget.IndexLimitBytes - _budget.IndexBytes);

    /// <summary>Of this engine's own limit or of that of all together, whichever is nearer.</summary>
    private int IndexPercent => (int)Math.Min(
        Math.Max(_index.UsedBytes * 100 / _options.IndexBytes, _budget.IndexBytes * 100 / _budget.IndexLimitBytes), int.MaxValue);

    /// <summary>As <see cref="IndexPercent"/>, without dividing: it is asked with every publication once some keys are gone.</summary>
    private bool IsRoomWanted =>
        _index.UsedBytes * 100 >= _options.IndexBytes * _options.RoomWantedAt || _budget.IndexBytes * 100 >= _budget.IndexLimitBytes * _options.RoomWantedAt;

    private void WarnOfAllIndexes()
    {
        if (_budget.TakeIndexWarning())
        {
            _environment.LimitNears?.Invoke(
                $"the keys of all engines that have them in memory take {_budget.IndexBytes} of {_budget.IndexLimitBytes} bytes that they may take together; beyond that new ones are refused");
        }
    }

    private IndexFullException IndexFull() => new(_options.IndexBytes - _index.UsedBytes <= IndexRoomBytes
        ? $"the keys take {_index.UsedBytes} of {_options.IndexBytes} bytes of memory that they may take: no new ones are taken; {RoomAdvice}"
        : $"the keys take {_index.UsedBytes} bytes of memory, and with those of other engines {_budget.IndexBytes} of {_budget.IndexLimitBytes} that they may take together: no new ones are taken; {RoomAdvice}");

    private void NoteGone(RangeDeletion range) =>
        _gone += range is { Start.Length: 0, End: null } ? _index.Count : (_index.Count / GonePartFlushed / RangesUntilMerge) + 1;

    /// <summary>With <c>_writerLock</c> held, when something was published: whether so many keys are gone that their room is worth a flush.</summary>
    private bool NoteGone()
    {
        if (_gone < GoneAtLeast || !IsRoomWanted || _gone < _index.Count / GonePartFlushed)
            return false;
        _gone = 0;
        Volatile.Write(ref _roomTarget, _progress.Published);

        // What is written from here on would keep the last of it in memory, where the index leads to it, until as much again is gone.
        _tail.TryCloseActive(_progress.Published);
        return true;
    }

    /// <summary>By the job that flushes, when that is done: nothing that files have is kept in memory if there is to be room for keys.</summary>
    private void MakeRoomForKeys(ulong flushed)
    {
        ulong target = Volatile.Read(ref _roomTarget);
        if (target == 0 || target > flushed)
            return;

        // Another may be wanted meanwhile.
        Interlocked.CompareExchange(ref _roomTarget, 0, target);
        TryCloseActive();
        LetGoOfTail(withAll: true);
        _index.Trim();
    }

    /// <summary>By whoever has merged.</summary>
    private void TrimIndex()
    {
        if (IsRoomWanted)
            _index.Trim();
    }

    /// <summary>
    /// Of the segments with many tombstones, whose keys take room until a merge drops them: first those that must be cleaned before it may
    /// (<see cref="IsOldest"/>), then they themselves. While somebody looks at an earlier moment nothing can be dropped.
    /// </summary>
    private List<SegmentFile> GoneSegments(bool withBusy)
    {
        if (!IsRoomWanted || !_snapshots.IsEmpty)
            return [];
        List<SegmentFile> open = [.. Volatile.Read(ref _segments).Where(s => withBusy || !s.IsBusy)];
        List<SegmentFile> gone = [.. open.Where(static s => s.Facts.Tombstones > 0 && !s.KeepsTombstones)];
        if (gone.Sum(static s => s.Facts.Tombstones) is var count && (count == 0 || count < _index.Count / GonePartMerged))
            return [];
        ulong last = gone.Max(static s => s.Facts.LargestSequence);
        List<SegmentFile> unclean = [.. open.Where(s => s.DeadEntries > 0 && s.Facts.SmallestSequence < last && s.Facts.CleanedTo < last)];
        return unclean.Count > 0 ? unclean : gone;
    }
}
