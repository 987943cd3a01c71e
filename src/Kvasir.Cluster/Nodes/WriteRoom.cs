using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Has engines flush where all of them together have no memory left for writes: those that hold the most, and so many of them that writers
/// are not held back any more when they are done. One after the other, with a look at the clock in between, whoever waits would wait
/// for the clock.
/// </summary>
internal sealed class WriteRoom(MemoryBudget memory)
{
    // Of the limit: below it no engine holds anybody back.
    private const double ShareAtEase = 0.7;

    private readonly List<(IStorageEngine Engine, long Bytes)> _holders = [];

    public void Add(IStorageEngine engine) => Add(engine, engine.GetStatistics().MemTableBytes);

    public void Add(IStorageEngine engine, long bytes)
    {
        if (bytes > 0)
            _holders.Add((engine, bytes));
    }

    /// <summary>Of those that were added, which are forgotten. Asked for again meanwhile, it finds the same ones: what is being flushed is still held.</summary>
    public void Make()
    {
        long excess = memory.WriteBytes - (long)(memory.WriteLimitBytes * ShareAtEase);
        _holders.Sort(static (a, b) => b.Bytes.CompareTo(a.Bytes));
        foreach ((IStorageEngine engine, long bytes) in _holders)
        {
            if (excess <= 0)
                break;
            excess -= bytes;
            try
            {
                engine.Flush();
            }
            catch (ObjectDisposedException)
            {
                // The target of a conversion that is just being withdrawn.
            }
        }

        _holders.Clear();
    }
}
