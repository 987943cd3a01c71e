using Kvasir.Primitives;

namespace Kvasir.Storage.Buffered;

/// <summary>How much the background owes, as the write controller sees it.</summary>
/// <param name="FrozenMemTables">Memtables that wait for their flush.</param>
/// <param name="MemoryShare">Write memory in use over what all engines together may use.</param>
/// <param name="LevelZeroTables">Tables in level zero.</param>
/// <param name="CompactionDebtBytes">Bytes above the levels' targets.</param>
internal readonly record struct WriteLoad(
    int FrozenMemTables, double MemoryShare, int LevelZeroTables, long CompactionDebtBytes);

/// <summary>
/// Slows writers in proportion to what flushes and compactions owe. The pressure, from 0 to 1, is the larger of two
/// shares, each of which begins well before the point at which its resource is exhausted: memory (write memory in use,
/// memtables waiting for their flush) as it is at the moment, and tables (level zero, compaction debt) as an average over
/// seconds, since compactions take tables away in strokes and a rate that followed them would swing. Under pressure,
/// writers get a rate in bytes per second, and every staged byte is charged to a bucket that drains at that rate. Where the
/// rate meets what the disk can carry, the pressure stays: a proportional control with no need to know the disk.
/// <para>
/// The full rate, of which pressure leaves a part, is what writers were seen to do unhindered. What was seen may have been
/// too little (a program warming up): it grows for as long as it holds writers back under little pressure.
/// </para>
/// </summary>
internal sealed class WriteController
{
    /// <summary>The longest single suggestion: the caller asks again after it.</summary>
    public static readonly TimeSpan DelayMax = TimeSpan.FromMilliseconds(50);

    // Below this a pause costs more than it brings: the bucket is left to fill.
    private static readonly TimeSpan s_delayMin = TimeSpan.FromMilliseconds(1);

    // Small writes are charged together: the clock and the lock cost as much as they do.
    private const int ChargeBytes = 4 << 10;

    // A full memtable beside one that is being flushed: nobody need wait as long as flushes keep that pace.
    private const double MemoryShareAtEase = 0.8;

    private const double TrickleBytesPerSecond = 1 << 20;
    private const double InitialBytesPerSecond = 64 << 20;
    private const double FullBytesPerSecondMax = 8e9;

    // Tables: the average follows with this share of the difference a second, and what is above the urgent mark at once.
    private const double FollowPerSecond = 0.3;
    private const double UrgentPressure = 0.7;

    // Below the low pressure the full rate grows by up to this share a second.
    private const double LowPressure = 0.3;
    private const double GrowthPerSecond = 1.5;

    private readonly BufferOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private double _memory;
    private double _frozen;
    private double _tables;
    private double _tablesAverage;
    private double _bytesPerSecond = InitialBytesPerSecond;
    private long _assessedAt;
    private long _bucketEmptyAt;
    private long _windowStart;
    private long _windowBytes;
    private long _uncharged;
    private bool _throttling;
    private bool _heldBack;
    private long _stallMicroseconds;

    public WriteController(BufferOptions options, TimeProvider time)
    {
        // Otherwise writers would wait for a compaction that is not due.
        Check.That(
            options.LevelZeroStopTrigger > LevelZeroStart(options),
            $"LevelZeroStopTrigger {options.LevelZeroStopTrigger} beside a LevelZeroCompactionTrigger of {options.LevelZeroCompactionTrigger}");
        _options = options;
        _time = time;
        _assessedAt = _windowStart = time.GetTimestamp();
    }

    public long StallMicroseconds => Volatile.Read(ref _stallMicroseconds);

    /// <summary>From 0 (nothing owed) to 1 (nothing may be written).</summary>
    public double Pressure
    {
        get
        {
            lock (_lock)
                return PressureNow();
        }
    }

    /// <summary>Takes note of how things stand. Called whenever a memtable is frozen, a flush or a compaction ends.</summary>
    public void Assess(in WriteLoad load)
    {
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            Follow(now);
            _memory = MemoryPressure(load.MemoryShare);
            _frozen = Share(load.FrozenMemTables, _options.FrozenMemTablesMax / 2.0, _options.FrozenMemTablesMax);
            _tables = TablePressure(load);
            Throttle(now);
        }
    }

    /// <summary>Bytes were staged. The writer only.</summary>
    public void Charge(int bytes)
    {
        _windowBytes += bytes;
        if (!Volatile.Read(ref _throttling))
            return;
        _uncharged += bytes;
        if (_uncharged < ChargeBytes)
            return;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            Follow(now);
            double seconds = _uncharged / Rate();
            _uncharged = 0;
            _bucketEmptyAt = Math.Max(_bucketEmptyAt, now - Ticks(s_delayMin)) + (long)(seconds * _time.TimestampFrequency);
        }
    }

    /// <summary>How long the writer should wait before its next bytes.</summary>
    /// <param name="memoryShare">Write memory in use over what all engines together may use.</param>
    public TimeSpan Suggest(double memoryShare)
    {
        double memory = MemoryPressure(memoryShare);
        if (!Volatile.Read(ref _throttling) && memory <= 0)
            return TimeSpan.Zero;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            Follow(now);
            _memory = memory;
            Throttle(now);
            double pressure = PressureNow();
            if (pressure <= 0)
                return TimeSpan.Zero;
            TimeSpan delay = pressure >= 1 ? DelayMax : _time.GetElapsedTime(now, Math.Max(now, _bucketEmptyAt));
            if (delay < s_delayMin)
                return TimeSpan.Zero;
            if (delay > DelayMax)
                delay = DelayMax;
            _heldBack = true;
            Volatile.Write(ref _stallMicroseconds, _stallMicroseconds + (long)delay.TotalMicroseconds);
            return delay;
        }
    }

    private static double MemoryPressure(double share) => Share(share, MemoryShareAtEase, 1.0);

    private static int LevelZeroStart(BufferOptions options) => (2 * options.LevelZeroCompactionTrigger) + 2;

    private double TablePressure(in WriteLoad load)
    {
        double levelZero = Share(load.LevelZeroTables, LevelZeroStart(_options), _options.LevelZeroStopTrigger);
        // Debt alone never stops writers: it slows them to a tenth.
        double debt = 0.9 * Share(load.CompactionDebtBytes, 2.0 * _options.LevelBaseBytes, 64.0 * _options.LevelBaseBytes);
        return Math.Max(levelZero, debt);
    }

    private double PressureNow()
    {
        double tables = _tables > UrgentPressure ? Math.Max(_tables, _tablesAverage) : _tablesAverage;
        return Math.Max(Math.Max(_memory, _frozen), tables);
    }

    private static double Share(double value, double start, double end) => Math.Clamp((value - start) / (end - start), 0, 1);

    private double Rate()
    {
        double left = 1 - PressureNow();
        return Math.Max(TrickleBytesPerSecond, _bytesPerSecond * left * left);
    }

    /// <summary>Begins and ends the throttling.</summary>
    private void Throttle(long now)
    {
        bool pressed = PressureNow() > 0;
        if (pressed == _throttling)
            return;
        if (pressed)
        {
            _bucketEmptyAt = now;
            Measure(now);
        }

        _windowStart = now;
        _windowBytes = 0;
        _heldBack = false;
        Volatile.Write(ref _throttling, pressed);
    }

    /// <summary>Brings what goes by time up to now.</summary>
    private void Follow(long now)
    {
        double seconds = _time.GetElapsedTime(_assessedAt, now).TotalSeconds;
        if (seconds < 0.001)
            return;
        _assessedAt = now;
        _tablesAverage = _tables + ((_tablesAverage - _tables) * Math.Exp(-FollowPerSecond * seconds));
        if (Math.Abs(_tablesAverage - _tables) < 0.001)
            _tablesAverage = _tables;
        double pressure = PressureNow();
        if (!_heldBack || pressure >= LowPressure)
            return;
        _heldBack = false;
        double growth = GrowthPerSecond * (1 - (pressure / LowPressure)) * Math.Min(seconds, 0.1);
        _bytesPerSecond = Math.Min(_bytesPerSecond * (1 + growth), FullBytesPerSecondMax);
    }

    // The rate of the time without throttling is what the pressure takes its share of.
    private void Measure(long now)
    {
        double seconds = _time.GetElapsedTime(_windowStart, now).TotalSeconds;
        if (seconds < 0.1)
            return;
        double seen = Math.Max(TrickleBytesPerSecond * 4, _windowBytes / seconds);
        _bytesPerSecond = (_bytesPerSecond + seen) / 2;
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * _time.TimestampFrequency);
}
