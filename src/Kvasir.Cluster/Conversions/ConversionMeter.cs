namespace Kvasir.Cluster.Conversions;

/// <summary>What a node has done for conversions since its start, those that failed among them. Thread-safe.</summary>
public sealed class ConversionMeter(TimeProvider time)
{
    private readonly Lock _lock = new();
    private int _running;
    private long _rows;
    private long _bytes;
    private TimeSpan _ended;
    private TimeSpan _begunBefore;

    private TimeSpan Now => time.GetElapsedTime(0);

    /// <summary>How many are under way.</summary>
    public int Running
    {
        get
        {
            lock (_lock)
                return _running;
        }
    }

    /// <summary>Rows copied.</summary>
    public long Rows => Interlocked.Read(ref _rows);

    /// <summary>Bytes of their keys and values.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>How long they took together, and those that are under way until now.</summary>
    public TimeSpan Duration
    {
        get
        {
            lock (_lock)
                return _ended + (_running * Now) - _begunBefore;
        }
    }

    internal TimeSpan Begin()
    {
        lock (_lock)
        {
            TimeSpan now = Now;
            _running++;
            _begunBefore += now;
            return now;
        }
    }

    internal void End(TimeSpan begunAt)
    {
        lock (_lock)
        {
            _running--;
            _begunBefore -= begunAt;
            _ended += Now - begunAt;
        }
    }

    internal void Copied(long rows, long bytes)
    {
        Interlocked.Add(ref _rows, rows);
        Interlocked.Add(ref _bytes, bytes);
    }
}
