namespace Kvasir.Storage.Buffered;

/// <content>How fast the background works.</content>
internal sealed partial class BufferedEngine
{
    // Memtables that fill faster leave no time: what is flushed slowly would be in the way of the next.
    private static readonly TimeSpan s_slowFill = TimeSpan.FromSeconds(2);

    private const double WorkShareMin = 0.1;

    // Half of the write memory: beyond it room counts for more than rest.
    private const double MemoryShareAtRest = 0.5;

    private long _frozenAt;
    private bool _fillsSlowly;
    private ulong _assignedAtLook;

    /// <summary>The active one among them.</summary>
    internal int MemTableCount => State.MemTables.Length;

    /// <summary>With <c>_writerLock</c> held.</summary>
    private void NoteFill()
    {
        long now = _environment.Scheduler.Time.GetTimestamp();
        Volatile.Write(ref _fillsSlowly, _environment.Scheduler.Time.GetElapsedTime(_frozenAt, now) >= s_slowFill);
        _frozenAt = now;
    }

    /// <summary>
    /// Which part of a core a flush or a compaction may take: all of it where anybody waits for its end, writers are faster than it
    /// could be slow, or nobody writes at all. Else as much as it takes to be done in time: a flush by the time the next memtable is half
    /// full, a compaction before as many tables again have come as were needed for it to begin.
    /// </summary>
    private double WorkShareOf(bool isFlush)
    {
        ulong assigned = _progress.LastAssigned;
        bool idle = Interlocked.Exchange(ref _assignedAtLook, assigned) == assigned;
        if (idle || !Volatile.Read(ref _fillsSlowly) || Volatile.Read(ref _state) is not { MemTables: { Length: <= 2 } memTables }
            || _background.IsStopped || HoldsInMemory(Volatile.Read(ref _flushTarget))
            || _budget.WriteBytes > MemoryShareAtRest * _budget.WriteLimitBytes || _writes.Pressure > 0)
            return 1;
        double due = isFlush
            ? 2.0 * memTables[0].UsedBytes / MemTableBytesMax
            : Math.Max(
                (double)(_tables.LevelZeroTables - _options.LevelZeroCompactionTrigger) / _options.LevelZeroCompactionTrigger,
                _tables.CompactionDebtBytes / (2.0 * _options.LevelBaseBytes));
        return Math.Clamp(due, WorkShareMin, 1);
    }

    public TimeSpan SuggestWriteDelay(int bytes)
    {
        if (_budget.WriteLimitReached)
            _budget.RoomWanted?.Invoke();

        // Not with the bytes of the batch: one that is larger than all memory must be let through, too.
        return _writes.Suggest((double)_budget.WriteBytes / _budget.WriteLimitBytes);
    }
}
