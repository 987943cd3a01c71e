namespace Kvasir.Server.Hosting;

/// <summary>
/// Gives the managed heap back to the system after large values: their buffers are garbage when a client has gone, but the
/// collector, which runs when something is allocated, may not come for as long as nobody sends as much again. A heap that
/// is large because it is in use is left alone for a minute, or until it has doubled.
/// </summary>
internal sealed class HeapTrim : IDisposable
{
    private const int LooksMax = 12;
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(5);

    private readonly long _leastBytes;
    private readonly ITimer _timer;
    private long _limitBytes;
    private int _looks;

    /// <param name="time">When to look.</param>
    /// <param name="leastBytes">A heap of this size is nothing to speak of.</param>
    public HeapTrim(TimeProvider time, long leastBytes)
    {
        _leastBytes = leastBytes;
        _limitBytes = leastBytes;
        _timer = time.CreateTimer(static self => ((HeapTrim)self!).Look(), this, s_period, s_period);
    }

    public void Dispose() => _timer.Dispose();

    private static long HeapBytes => Math.Max(GC.GetTotalMemory(forceFullCollection: false), GC.GetGCMemoryInfo().TotalCommittedBytes);

    private void Look()
    {
        long bytes = HeapBytes;
        if (bytes <= _leastBytes || (bytes <= _limitBytes && ++_looks < LooksMax))
            return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _looks = 0;
        _limitBytes = Math.Max(_leastBytes, 2 * HeapBytes);
    }
}
