using Kvasir.Primitives;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>What all connections of a run have seen. Histograms are one a thread, the rest is counted atomically.</summary>
internal sealed class LoadTally : IDisposable
{
    private readonly ThreadLocal<LatencyHistogram?[]> _histograms =
        new(() => new LatencyHistogram?[Enum.GetValues<LoadOperation>().Length], trackAllValues: true);

    private long _completed;
    private long _errors;
    private long _misses;
    private string? _firstError;

    public long Completed => Interlocked.Read(ref _completed);

    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Reads that found nothing.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    public string? FirstError => _firstError;

    /// <summary>The calling thread's own.</summary>
    public LatencyHistogram?[] Histograms => _histograms.Value!;

    public void AddCompleted(long count) => Interlocked.Add(ref _completed, count);

    public void Note(LoadReply reply, ReadOnlySpan<byte> bytes)
    {
        if (reply == LoadReply.Missing)
        {
            Interlocked.Increment(ref _misses);
        }
        else if (reply == LoadReply.Error)
        {
            Interlocked.Increment(ref _errors);
            if (_firstError is null)
                Interlocked.CompareExchange(ref _firstError, bytes[0] is (byte)'-' or (byte)'!' ? System.Text.Encoding.UTF8.GetString(bytes).TrimEnd() : "a call failed; the server's log says why", null);
        }
    }

    /// <summary>All threads' histograms together, by operation; after the run.</summary>
    public IReadOnlyDictionary<LoadOperation, LatencyHistogram> Merge()
    {
        var merged = new SortedDictionary<LoadOperation, LatencyHistogram>();
        foreach (LatencyHistogram?[] thread in _histograms.Values)
        {
            for (int i = 0; i < thread.Length; i++)
            {
                if (thread[i] is not { Count: > 0 } part)
                    continue;
                if (!merged.TryGetValue((LoadOperation)i, out LatencyHistogram? sum))
                    merged[(LoadOperation)i] = sum = new LatencyHistogram();
                sum.Add(part);
            }
        }

        return merged;
    }

    public void Dispose() => _histograms.Dispose();
}
