using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What a nemesis may do.</summary>
[Flags]
internal enum TortureFaults
{
    None = 0,

    /// <summary>SIGKILL of the node that leads most.</summary>
    Leader = 1,

    /// <summary>SIGKILL of any.</summary>
    Kill = 2,

    /// <summary>SIGSTOP, and after a while SIGCONT.</summary>
    Stop = 4,

    /// <summary>SIGTERM, and a start again.</summary>
    Restart = 8,

    /// <summary>Links between nodes go silent: one node alone, one pair, or one direction.</summary>
    Cut = 16,

    /// <summary>SIGKILL of all nodes at one moment.</summary>
    All = 32,

    Every = Leader | Kill | Stop | Restart | Cut | All,
}

/// <summary>
/// Breaks a cluster by a seed, heals it, and begins again. At any time it leaves a majority alone, but for the kill of all.
/// When it does things depends on the clock, so a seed is a plan and not a replay.
/// </summary>
internal sealed class Nemesis
{
    private readonly ITorturedCluster _cluster;
    private readonly TortureFaults[] _faults;
    private readonly int _longestMs;
    private readonly SeededRandom _random;
    private readonly HistoryClock _clock;
    private readonly AvailabilityMeter _meter;
    private readonly Action<string> _say;
    private readonly Action<int> _sleepMs;
    private readonly SortedDictionary<string, int> _done = new(StringComparer.Ordinal);

    /// <param name="cluster">Whom it breaks.</param>
    /// <param name="faults">What it may do.</param>
    /// <param name="longest">How long a fault lasts at most; few last that long.</param>
    /// <param name="random">Decides.</param>
    /// <param name="clock">The history's.</param>
    /// <param name="meter">Learns of kills.</param>
    /// <param name="say">Hears what is done.</param>
    /// <param name="sleepMs">Waits; ends early when the run is to end.</param>
    public Nemesis(
        ITorturedCluster cluster, TortureFaults faults, TimeSpan longest, SeededRandom random, HistoryClock clock, AvailabilityMeter meter, Action<string> say, Action<int> sleepMs)
    {
        _cluster = cluster;
        _faults = [.. Enum.GetValues<TortureFaults>().Where(f => f is not (TortureFaults.None or TortureFaults.Every) && faults.HasFlag(f))];
        _longestMs = (int)longest.TotalMilliseconds;
        _random = random;
        _clock = clock;
        _meter = meter;
        _say = say;
        _sleepMs = sleepMs;
    }

    /// <summary>What was done, and how often.</summary>
    public IReadOnlyDictionary<string, int> Done => _done;

    /// <summary>One fault from its beginning until all is whole again.</summary>
    public void Step()
    {
        // A kill of the leader is what most is learnt from.
        TortureFaults fault = _faults.Contains(TortureFaults.Leader) && _random.OneIn(3) ? TortureFaults.Leader : _faults[_random.Next(_faults.Length)];
        string name = fault.ToString().ToLowerInvariant();
        _done[name] = _done.GetValueOrDefault(name) + 1;
        int[] victims = Victims(fault);
        switch (fault)
        {
            case TortureFaults.Stop:
                _say($"stop {Names(victims)}");
                Each(victims, _cluster.Freeze);
                Last(mayBeLong: true);
                Each(victims, _cluster.Thaw);
                _say($"continue {Names(victims)}");
                break;
            case TortureFaults.Cut:
                Cut(victims);
                Last(mayBeLong: true);
                _cluster.HealLinks();
                _say("all links are healed");
                break;
            case TortureFaults.Restart:
                _say($"terminate {Names(victims)}");
                Each(victims, _cluster.Terminate);
                Last(mayBeLong: false);
                Each(victims, _cluster.Start);
                break;
            default:
                Kill(victims);
                Last(mayBeLong: false);
                Each(victims, _cluster.Start);
                _say($"start {Names(victims)}");
                break;
        }

        _cluster.AwaitAll();
        _sleepMs(_random.Next(1500, 5000));
    }

    private void Kill(int[] victims)
    {
        IReadOnlyList<IReadOnlyList<int>> leads = _cluster.Leads();
        int[] led = [.. victims.SelectMany(v => leads[v]).Distinct().Order()];
        _say($"kill {Names(victims)}{(led.Length == 0 ? ", which leads nothing" : $", leader of shards {string.Join(' ', led)}")}");
        long now = _clock.NowNs;
        Each(victims, _cluster.Kill);

        // All at once is no test of how soon the others take over.
        if (led.Length > 0 && victims.Length < _cluster.NodeCount)
            _meter.Killed(now, led);
    }

    private void Cut(int[] victims)
    {
        int one = victims[0];
        int other = (one + 1 + _random.Next(_cluster.NodeCount - 1)) % _cluster.NodeCount;
        switch (_random.Next(4))
        {
            case 0:
                _say($"cut the link from {Name(one)} to {Name(other)}, one way");
                _cluster.Cut(one, other);
                break;
            case 1:
                _say($"cut the link between {Name(one)} and {Name(other)}");
                _cluster.Cut(one, other);
                _cluster.Cut(other, one);
                break;
            default:
                _say($"cut {Names(victims)} off from all others");
                foreach (int victim in victims)
                {
                    for (int i = 0; i < _cluster.NodeCount; i++)
                    {
                        if (victims.Contains(i))
                            continue;
                        _cluster.Cut(victim, i);
                        _cluster.Cut(i, victim);
                    }
                }

                break;
        }
    }

    /// <summary>A minority, unless the fault is one of all.</summary>
    private int[] Victims(TortureFaults fault)
    {
        int count = _cluster.NodeCount;
        if (fault == TortureFaults.All)
            return [.. Enumerable.Range(0, count)];
        if (fault == TortureFaults.Leader)
        {
            IReadOnlyList<IReadOnlyList<int>> leads = _cluster.Leads();
            int most = leads.Max(l => l.Count);
            int[] leaders = [.. Enumerable.Range(0, count).Where(i => leads[i].Count == most)];
            return [leaders[_random.Next(leaders.Length)]];
        }

        int minority = Math.Max(1, (count - 1) / 2);
        int[] all = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int j = _random.Next(i + 1);
            (all[i], all[j]) = (all[j], all[i]);
        }

        return all[..(1 + _random.Next(minority))];
    }

    private void Last(bool mayBeLong) => _sleepMs(
        mayBeLong && _random.OneIn(8) ? _random.Next(_longestMs / 2, _longestMs) : _random.Next(Math.Min(300, _longestMs / 2), Math.Min(6000, _longestMs)));

    private static void Each(int[] victims, Action<int> action)
    {
        foreach (int victim in victims)
            action(victim);
    }

    private static string Names(int[] nodes) => string.Join(" and ", nodes.Order().Select(Name));

    private static string Name(int node) => string.Create(CultureInfo.InvariantCulture, $"node-{node + 1}");
}
