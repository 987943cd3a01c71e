using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// Breaks a cluster by a seed, heals it, and begins again. At any time it leaves a majority alone, but for the kill of all.
/// When it does things depends on the clock, so a seed is a plan and not a replay.
/// </summary>
internal sealed class Nemesis
{
    private const int LookMs = 5;

    // Enough for the segments that a journal has prepared, and some times the journal that a node of this cluster keeps.
    private const long PressedBytesMax = 128L << 20;
    private const long SnapshotBytes = 32L << 20;

    private static readonly LinkCut[] s_cuts = Enum.GetValues<LinkCut>();
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly ITorturedCluster _cluster;
    private readonly TortureFaults[] _faults;
    private readonly int _longestMs;
    private readonly SeededRandom _random;
    private readonly HistoryClock _clock;
    private readonly AvailabilityMeter _meter;
    private readonly Action<string> _say;
    private readonly Action<int> _sleepMs;
    private readonly SortedDictionary<string, int> _done = new(StringComparer.Ordinal);
    private readonly List<TortureFaults> _next = [];

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
        _faults = [.. TortureFaultWords.Kinds(faults).Where(f => f != TortureFaults.Disk || cluster.SmallDisk is not null)];
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
        TortureFaults fault = Next();
        string name = fault.ToString().ToLowerInvariant();
        _done[name] = _done.GetValueOrDefault(name) + 1;
        switch (fault)
        {
            case TortureFaults.Pause:
                Pause(Victims(fault), isFirst: _done[name] == 1);
                break;
            case TortureFaults.Links:
                Cut(Victims(fault));
                Last(mayBeLong: true);
                _cluster.HealLinks();
                _say("all links are healed");
                break;
            case TortureFaults.Restart:
                Restart(Victims(fault));
                break;
            case TortureFaults.Disk:
                FillDisk(_cluster.SmallDisk!.Value);
                break;
            case TortureFaults.Roll:
                Roll();
                break;
            case TortureFaults.Snapshot:
                KillUnderSnapshot();
                break;
            case TortureFaults.Members:
                KillUnderChange();
                break;
            default:
                int[] victims = Victims(fault);
                Kill(victims);
                Last(mayBeLong: false);
                Start(victims);
                break;
        }

        _cluster.AwaitAll();
        _sleepMs(_random.Next(1500, 5000));
    }

    /// <summary>Every fault comes once before any comes again; kills of leaders more often, of which most is learnt.</summary>
    private TortureFaults Next()
    {
        if (_faults.Contains(TortureFaults.Leader) && _random.OneIn(4))
            return TortureFaults.Leader;
        if (_next.Count == 0)
            _next.AddRange(Shuffled(_faults));
        TortureFaults next = _next[^1];
        _next.RemoveAt(_next.Count - 1);
        return next;
    }

    /// <summary>The first of a run is as long as any may be.</summary>
    private void Pause(int[] victims, bool isFirst)
    {
        _say(isFirst ? string.Create(CultureInfo.InvariantCulture, $"stop {Names(victims)} for {_longestMs / 1000.0:0.#} s") : $"stop {Names(victims)}");
        Each(victims, _cluster.Freeze);
        if (isFirst)
            _sleepMs(_longestMs);
        else
            Last(mayBeLong: true);
        Each(victims, _cluster.Thaw);
        _say($"continue {Names(victims)}");
    }

    private void Restart(int[] victims)
    {
        _say($"terminate {Names(victims)}");
        Each(victims, _cluster.Terminate);
        Last(mayBeLong: false);
        Start(victims);
    }

    private void Roll()
    {
        for (int node = 0; node < 2 * _cluster.NodeCount; node++)
        {
            int one = node % _cluster.NodeCount;
            _say($"roll: restart {Name(one)}");
            _cluster.Terminate(one);
            _cluster.Start(one);
            _cluster.AwaitAll();
            _cluster.AwaitWhole();
        }
    }

    private void FillDisk(int node)
    {
        _say($"the disk of {Name(node)} is full");
        _cluster.FillDisk();
        _cluster.Press(() => _cluster.SaysDiskIsFull(node), PressedBytesMax);
        if (!_cluster.SaysDiskIsFull(node))
            throw new BrokenPromiseException($"{Name(node)} says nothing of its disk, which is full since {PressedBytesMax >> 20} MiB were written");
        _say($"{Name(node)} says so");
        Await(() => _cluster.Leads()[node].Count == 0, $"{Name(node)} leads nothing while its disk is full");
        Last(mayBeLong: true);
        _cluster.FreeDisk();
        _say($"there is room on the disk of {Name(node)}");
        Await(() => !_cluster.SaysDiskIsFull(node), $"{Name(node)} goes on when there is room on its disk");
        _cluster.AwaitWhole();
    }

    private void KillUnderSnapshot()
    {
        int away = LeastLeading();
        _say($"kill {Name(away)}, and write more than the journals keep");
        _cluster.Kill(away);
        _cluster.Press(static () => false, SnapshotBytes);
        _cluster.Start(away);
        bool receives = Await(() => _cluster.IsReceivingSnapshot(away));
        KillLeader(away, receives ? "snapshot" : "(no snapshot was seen)");
        _cluster.AwaitWhole();
    }

    private void KillUnderChange()
    {
        int lost = _random.Next(_cluster.NodeCount);
        _say($"kill {Name(lost)} and wipe its folder: it comes back as a new node");
        _cluster.Kill(lost);
        _cluster.Replace(lost);
        _cluster.Start(lost);
        bool changes = Await(_cluster.IsChangingMembers);
        KillLeader(lost, changes ? "change of members" : "(no change of members was seen)");
        _cluster.AwaitWhole();
    }

    /// <summary>Of the others; it is no measure of how soon writes go on: too few may be left that have everything.</summary>
    private void KillLeader(int except, string why)
    {
        IReadOnlyList<IReadOnlyList<int>> leads = _cluster.Leads();
        int leader = Enumerable.Range(0, _cluster.NodeCount).Where(n => n != except).MaxBy(n => leads[n].Count);
        _say($"kill {Name(leader)} during it: {why}");
        _cluster.Kill(leader);
        Last(mayBeLong: false);
        Start([leader]);
        _cluster.AwaitAll();
    }

    private int LeastLeading()
    {
        IReadOnlyList<IReadOnlyList<int>> leads = _cluster.Leads();
        return Enumerable.Range(0, _cluster.NodeCount).MinBy(n => leads[n].Count);
    }

    private void Start(int[] victims)
    {
        Each(victims, _cluster.Start);
        _say($"start {Names(victims)}");
    }

    private void Await(Func<bool> holds, string what)
    {
        if (!Await(holds))
            throw new BrokenPromiseException($"in {s_patience.TotalSeconds} s it is not so that {what}");
    }

    private static bool Await(Func<bool> holds)
    {
        long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (!holds())
        {
            if (Environment.TickCount64 > end)
                return false;
            Thread.Sleep(LookMs);
        }

        return true;
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
        LinkCut how = s_cuts[_random.Next(s_cuts.Length)];
        string manner = how switch { LinkCut.Silent => "in silence", LinkCut.Lossy => "with loss", _ => "by resets" };
        switch (_random.Next(4))
        {
            case 0:
                _say($"cut the link from {Name(one)} to {Name(other)}, one way, {manner}");
                _cluster.Cut(one, other, how);
                break;
            case 1:
                _say($"cut the link between {Name(one)} and {Name(other)}, {manner}");
                _cluster.Cut(one, other, how);
                _cluster.Cut(other, one, how);
                break;
            default:
                _say($"cut {Names(victims)} off from all others, {manner}");
                foreach (int victim in victims)
                {
                    for (int i = 0; i < _cluster.NodeCount; i++)
                    {
                        if (victims.Contains(i))
                            continue;
                        _cluster.Cut(victim, i, how);
                        _cluster.Cut(i, victim, how);
                    }
                }

                break;
        }
    }

    /// <summary>A minority, unless the fault is one of all.</summary>
    private int[] Victims(TortureFaults fault)
    {
        int count = _cluster.NodeCount;
        if (fault == TortureFaults.Power)
            return [.. Enumerable.Range(0, count)];
        if (fault == TortureFaults.Leader)
        {
            IReadOnlyList<IReadOnlyList<int>> leads = _cluster.Leads();
            int most = leads.Max(l => l.Count);
            int[] leaders = [.. Enumerable.Range(0, count).Where(i => leads[i].Count == most)];
            return [leaders[_random.Next(leaders.Length)]];
        }

        int minority = Math.Max(1, (count - 1) / 2);
        return Shuffled([.. Enumerable.Range(0, count)])[..(1 + _random.Next(minority))];
    }

    private T[] Shuffled<T>(IReadOnlyCollection<T> items)
    {
        T[] all = [.. items];
        for (int i = all.Length - 1; i > 0; i--)
        {
            int j = _random.Next(i + 1);
            (all[i], all[j]) = (all[j], all[i]);
        }

        return all;
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
