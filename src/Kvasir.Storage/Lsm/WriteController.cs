using Kvasir.Primitives;

namespace Kvasir.Storage.Lsm;

/// <summary>How much the background owes, as the write controller sees it.</summary>
/// <param name="FrozenMemTables">Memtables that wait for their flush.</param>
/// <param name="MemoryShare">Write memory in use over what all engines together may use.</param>
/// <param name="LevelZeroTables">Tables in level zero.</param>
/// <param name="CompactionDebtBytes">Bytes above the levels' targets.</param>
internal readonly record struct WriteLoad(
    int FrozenMemTables, double MemoryShare, int LevelZeroTables, long CompactionDebtBytes);

/// <summary>
/// Slows writers in proportion to what flushes and compactions owe. The pressure, from 0 to 1, is the largest of four
/// shares: each begins well before the point at which its resource is exhausted. Under pressure, writers get a rate in
/// bytes per second that falls from what they were seen to do unhindered towards a trickle, and every staged byte is
/// charged to a bucket that drains at that rate. Where the rate meets what the disk can carry, the pressure stays: a
/// proportional control with no need to know the disk.
/// </summary>
internal sealed class WriteController
{
    /// <summary>The longest single suggestion: the caller asks again after it.</summary>
    public static readonly TimeSpan DelayMax = TimeSpan.FromMilliseconds(50);

    // Below this a pause costs more than it brings: the bucket is left to fill.
    private static readonly TimeSpan s_delayMin = TimeSpan.FromMilliseconds(1);

    // Small writes are charged together: the clock and the lock cost as much as they do.
    private const int ChargeBytes = 4 << 10;

    private const double TrickleBytesPerSecond = 1 << 20;
    private const double InitialBytesPerSecond = 64 << 20;

    // A rise of pressure is believed at once, a fall by this share of the difference a second: level zero empties in
    // one stroke, and a rate that followed it would swing.
    private const double FallPerSecond = 0.7;

    private readonly LsmOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private double _target;
    private double _pressure;
    private double _bytesPerSecond = InitialBytesPerSecond;
    private long _assessedAt;
    private long _bucketEmptyAt;
    private long _windowStart;
    private long _windowBytes;
    private long _uncharged;
    private bool _throttling;
    private long _stallMicroseconds;

    public WriteController(LsmOptions options, TimeProvider time)
    {
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
                return _pressure;
        }
    }

    /// <summary>Takes note of how things stand. Called whenever a memtable is frozen, a flush or a compaction ends.</summary>
    public void Assess(in WriteLoad load)
    {
        lock (_lock)
        {
            _target = Target(load);
            long now = _time.GetTimestamp();
            Smooth(now);
            if (_pressure > 0 && !_throttling)
            {
                _bucketEmptyAt = now;
                Measure(now);
            }
            else if (_pressure <= 0 && _throttling)
            {
                _windowStart = now;
                _windowBytes = 0;
            }

            Volatile.Write(ref _throttling, _pressure > 0);
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
            Smooth(now);
            double seconds = _uncharged / Rate();
            _uncharged = 0;
            _bucketEmptyAt = Math.Max(_bucketEmptyAt, now - Ticks(s_delayMin)) + (long)(seconds * _time.TimestampFrequency);
        }
    }

    public TimeSpan Suggest()
    {
        if (!Volatile.Read(ref _throttling))
            return TimeSpan.Zero;
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            Smooth(now);
            if (_pressure <= 0)
            {
                Volatile.Write(ref _throttling, false);
                _windowStart = now;
                _windowBytes = 0;
                return TimeSpan.Zero;
            }

            TimeSpan delay = _pressure >= 1 ? DelayMax : _time.GetElapsedTime(now, Math.Max(now, _bucketEmptyAt));
            if (delay < s_delayMin)
                return TimeSpan.Zero;
            if (delay > DelayMax)
                delay = DelayMax;
            Volatile.Write(ref _stallMicroseconds, _stallMicroseconds + (long)delay.TotalMicroseconds);
            return delay;
        }
    }

    private double Target(in WriteLoad load)
    {
        double frozen = Share(load.FrozenMemTables, _options.FrozenMemTablesMax / 4.0, _options.FrozenMemTablesMax);
        double memory = Share(load.MemoryShare, 0.7, 1.0);
        double levelZero = Share(
            load.LevelZeroTables, _options.LevelZeroCompactionTrigger + 2, _options.LevelZeroStopTrigger);
        // Debt alone never stops writers: it slows them to a tenth.
        double debt = 0.9 * Share(load.CompactionDebtBytes, 2.0 * _options.LevelBaseBytes, 64.0 * _options.LevelBaseBytes);
        return Math.Max(Math.Max(frozen, memory), Math.Max(levelZero, debt));
    }

    private static double Share(double value, double start, double end) => Math.Clamp((value - start) / (end - start), 0, 1);

    private double Rate() => Math.Max(TrickleBytesPerSecond, _bytesPerSecond * (1 - _pressure) * (1 - _pressure));

    private void Smooth(long now)
    {
        if (_target >= _pressure)
        {
            _assessedAt = now;
            _pressure = _target;
            return;
        }

        double seconds = _time.GetElapsedTime(_assessedAt, now).TotalSeconds;
        if (seconds < 0.001)
            return;
        _assessedAt = now;

        _pressure = _target + ((_pressure - _target) * Math.Exp(-FallPerSecond * seconds));
        if (_pressure - _target < 0.001)
            _pressure = _target;
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
