using Kvasir.Primitives;

namespace Kvasir.Simulation.Histories;

/// <summary>The one clock of all recorders of a history: nanoseconds since it was made.</summary>
public sealed class HistoryClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    public long NowNs => (long)((Int128)(time.GetTimestamp() - _start) * 1_000_000_000 / time.TimestampFrequency);
}

/// <summary>
/// What one client did, written down by that client: no lock and nothing shared, so that recording does not order what it
/// watches. <see cref="Merge"/> makes one history of many when all have ended.
/// </summary>
/// <remarks>
/// A client whose operation ended in doubt goes on under another process number, as Jepsen's do: the old process is for
/// ever inside that operation.
/// </remarks>
public sealed class HistoryRecorder(int client, int clients, HistoryClock clock)
{
    private readonly List<HistoryEvent> _events = [];
    private int _process = client;
    private HistoryEvent? _open;

    public IReadOnlyList<HistoryEvent> Events => _events;

    /// <summary>The process that this client is now: the one that the next operation begins in.</summary>
    public int Process => _process;

    /// <summary>An operation has begun and not ended.</summary>
    public bool IsInside => _open is not null;

    /// <summary>Before the request leaves.</summary>
    public void Invoke(OperationKind operation, string key, HistoryValue value = default)
    {
        Check.That(_open is null);
        var e = new HistoryEvent(_process, EventKind.Invoke, operation, key, value, clock.NowNs);
        _open = e;
        _events.Add(e);
    }

    /// <summary>After the reply came.</summary>
    public void Ok(HistoryValue value = default, long? ageNs = null) => End(EventKind.Ok, value, ageNs);

    /// <summary>It surely did not happen.</summary>
    public void Fail() => End(EventKind.Fail, default, null);

    /// <summary>It may have happened, or may yet.</summary>
    public void Info()
    {
        End(EventKind.Info, default, null);
        _process += clients;
    }

    /// <summary>
    /// All that the clients did, in the order of time. Of what happened at one moment the invocations come first, so that
    /// a coarse clock makes operations overlap rather than follow each other: a check never refuses too much for it.
    /// </summary>
    public static List<HistoryEvent> Merge(params IEnumerable<HistoryRecorder> recorders)
    {
        List<HistoryEvent>[] all = [.. recorders.Select(r => r._events)];
        int[] at = new int[all.Length];
        var merged = new List<HistoryEvent>(all.Sum(e => e.Count));
        var next = new PriorityQueue<int, (long TimeNs, bool IsEnd, int Recorder)>();
        void Offer(int i)
        {
            if (at[i] < all[i].Count)
                next.Enqueue(i, (all[i][at[i]].TimeNs, all[i][at[i]].Kind != EventKind.Invoke, i));
        }

        for (int i = 0; i < all.Length; i++)
            Offer(i);
        while (next.TryDequeue(out int recorder, out _))
        {
            merged.Add(all[recorder][at[recorder]++]);
            Offer(recorder);
        }

        return merged;
    }

    private void End(EventKind kind, HistoryValue value, long? ageNs)
    {
        Check.That(_open is not null);
        HistoryEvent open = _open.Value;
        _events.Add(open with { Kind = kind, Value = value, TimeNs = clock.NowNs, AgeNs = ageNs });
        _open = null;
    }
}
