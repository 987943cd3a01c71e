namespace Kvasir.Server.Hosting;

/// <summary>
/// Gives the managed heap back to the system after large values: their buffers are garbage when a client has gone, but the
/// collector, which runs when something is allocated, may not come for as long as nobody sends as much again. A heap that
/// is large because it is in use is left alone for a minute, or until it has doubled.
/// </summary>
internal sealed class HeapTrim : IDisposable
{
    /// <summary>So often it looks.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    // A minute.
    private const int LooksMax = 12;

    private readonly long _leastBytes;
    private readonly Func<long> _heapBytes;
    private readonly Action _collect;
    private readonly ITimer _timer;
    private long _limitBytes;
    private int _looks;

    /// <param name="time">When to look.</param>
    /// <param name="leastBytes">A heap of this size is nothing to speak of.</param>
    public HeapTrim(TimeProvider time, long leastBytes)
        : this(time, leastBytes, ManagedHeapBytes, CollectAll)
    {
    }

    /// <param name="time">When to look.</param>
    /// <param name="leastBytes">A heap of this size is nothing to speak of.</param>
    /// <param name="heapBytes">How large the heap is.</param>
    /// <param name="collect">Gives back what is garbage.</param>
    internal HeapTrim(TimeProvider time, long leastBytes, Func<long> heapBytes, Action collect)
    {
        _leastBytes = leastBytes;
        _limitBytes = leastBytes;
        _heapBytes = heapBytes;
        _collect = collect;
        _timer = time.CreateTimer(static self => ((HeapTrim)self!).Look(), this, Period, Period);
    }

    public void Dispose() => _timer.Dispose();

    internal static long ManagedHeapBytes() =>
        Math.Max(GC.GetTotalMemory(forceFullCollection: false), GC.GetGCMemoryInfo().TotalCommittedBytes);

    private static void CollectAll() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);

    private void Look()
    {
        long bytes = _heapBytes();
        if (bytes <= _leastBytes || (bytes <= _limitBytes && ++_looks < LooksMax))
            return;
        _collect();
        _looks = 0;
        _limitBytes = Math.Max(_leastBytes, 2 * _heapBytes());
    }
}
