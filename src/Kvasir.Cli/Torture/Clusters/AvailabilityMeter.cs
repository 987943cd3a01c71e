using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// What clients got, by the second, and how long writes stood still after each kill of a leader: from the kill until a
/// client that asked after it was answered, in the shard of those the node led that took longest.
/// </summary>
/// <param name="shardOf">Of a key.</param>
/// <param name="used">Shards that have keys of clients; null for all: of others nobody could tell how long they stood still.</param>
internal sealed class AvailabilityMeter(Func<string, int> shardOf, IReadOnlyCollection<int>? used = null)
{
    private const long SecondNs = 1_000_000_000;

    private readonly Lock _gate = new();
    private readonly List<LeaderKill> _kills = [];
    private readonly List<LeaderKill> _unsettled = [];
    private readonly List<int> _answered = [];
    private readonly List<int> _written = [];
    private readonly Dictionary<int, HistoryEvent> _open = [];
    private long _lastWriteNs;

    /// <summary>Operations that were answered in each second.</summary>
    public IReadOnlyList<int> Answered => _answered;

    /// <summary>Writes among them.</summary>
    public IReadOnlyList<int> Written => _written;

    /// <summary>The longest time in which no write of any client was answered.</summary>
    public TimeSpan LongestSilence { get; private set; }

    /// <summary>A node that led these shards was killed at this moment of the history's clock.</summary>
    public void Killed(long timeNs, IEnumerable<int> ledShards)
    {
        LeaderKill kill = new(timeNs, [.. ledShards.Distinct().Where(s => used?.Contains(s) ?? true)]);
        lock (_gate)
        {
            _kills.Add(kill);
            _unsettled.Add(kill);
        }
    }

    /// <summary>Events in the order of time; parts in their order.</summary>
    public void Take(IReadOnlyList<HistoryEvent> events)
    {
        lock (_gate)
        {
            foreach (HistoryEvent e in events)
            {
                if (e.Kind == EventKind.Invoke)
                {
                    _open[e.Process] = e;
                    continue;
                }

                if (!_open.Remove(e.Process, out HistoryEvent begun) || e.Kind != EventKind.Ok)
                    continue;
                Add(_answered, e.TimeNs);
                if (e.Operation == OperationKind.Read)
                    continue;
                Add(_written, e.TimeNs);
                LongestSilence = TimeSpan.FromTicks(Math.Max(LongestSilence.Ticks, (e.TimeNs - _lastWriteNs) / 100));
                _lastWriteNs = Math.Max(_lastWriteNs, e.TimeNs);
                int shard = shardOf(e.Key);
                foreach (LeaderKill kill in _unsettled)
                    kill.Note(shard, begun.TimeNs, e.TimeNs);
                _unsettled.RemoveAll(static k => k.Gap is not null);
            }
        }
    }

    /// <summary>Of each kill, in their order; null: a shard took no write any more.</summary>
    public IReadOnlyList<TimeSpan?> Gaps()
    {
        lock (_gate)
            return [.. _kills.Where(k => k.Shards.Count > 0).Select(k => k.Gap)];
    }

    public static TimeSpan? Median(IReadOnlyList<TimeSpan?> gaps)
    {
        TimeSpan[] known = [.. gaps.OfType<TimeSpan>().Order()];
        return known.Length == 0 ? null
            : known.Length % 2 == 1 ? known[known.Length / 2]
            : (known[(known.Length / 2) - 1] + known[known.Length / 2]) / 2;
    }

    private static void Add(List<int> seconds, long timeNs)
    {
        int second = (int)(timeNs / SecondNs);
        while (seconds.Count <= second)
            seconds.Add(0);
        seconds[second]++;
    }

    private sealed class LeaderKill(long timeNs, IReadOnlyList<int> shards)
    {
        private readonly Dictionary<int, long> _firstNs = [];

        public IReadOnlyList<int> Shards => shards;

        public TimeSpan? Gap => _firstNs.Count < shards.Count ? null : TimeSpan.FromTicks((_firstNs.Values.DefaultIfEmpty(timeNs).Max() - timeNs) / 100);

        // Asked before the kill and answered after it may have been done before it. Ends come in order: the first is the least.
        public void Note(int shard, long begunNs, long endedNs)
        {
            if (begunNs >= timeNs && shards.Contains(shard))
                _firstNs.TryAdd(shard, endedNs);
        }
    }
}
