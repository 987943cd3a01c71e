using Kvasir.Cli.Torture.Clusters;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Tests.Torture;

public sealed class NemesisTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void AMajorityIsLeftAloneAndAllIsHealed(int nodes)
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            Watched cluster = new(nodes);
            Nemesis nemesis = Make(cluster, TortureFaults.All & ~TortureFaults.Power, seed, out _);
            for (int i = 0; i < 20; i++)
            {
                nemesis.Step();
                Assert.True(cluster.IsWhole, $"seed {seed}, fault {i}: something is broken still");
            }

            Assert.True(cluster.MostDisturbed <= (nodes - 1) / 2, $"seed {seed}: {cluster.MostDisturbed} of {nodes} nodes were disturbed at once");
            Assert.Equal(20, nemesis.Done.Values.Sum());
        }
    }

    [Fact]
    public void EveryFaultHappens()
    {
        Watched cluster = new(5);
        Nemesis nemesis = Make(cluster, TortureFaults.All, seed: 7, out _);
        for (int i = 0; i < 300; i++)
            nemesis.Step();
        Assert.Equal(["disk", "kill", "leader", "links", "members", "pause", "power", "restart", "roll", "snapshot"], nemesis.Done.Keys);
        Assert.Equal(5, cluster.MostDisturbed);
        Assert.True(cluster.OneWayCuts > 0 && cluster.TwoWayCuts > 0);
        Assert.Equal(Enum.GetValues<LinkCut>(), cluster.WaysOfCutting);
        Assert.True(cluster.DisksFilled > 0 && cluster.Replaced > 0);
    }

    [Fact]
    public void TheFirstPauseIsAsLongAsAnyMayBe()
    {
        Watched cluster = new(3);
        Nemesis nemesis = Make(cluster, TortureFaults.Pause, seed: 3, out _);
        List<int> pauses = [];
        cluster.Passes = ms =>
        {
            if (cluster.IsFrozen)
                pauses.Add(ms);
        };
        for (int i = 0; i < 10; i++)
            nemesis.Step();
        Assert.Equal(30_000, pauses[0]);
        Assert.Equal(10, pauses.Count);
        Assert.Contains(pauses, ms => ms < 6000);
    }

    [Fact]
    public void OfALeaderItIsToldWhatItLed()
    {
        Watched cluster = new(3) { Shards = [[], [0, 2], [1]] };
        Nemesis nemesis = Make(cluster, TortureFaults.Leader, seed: 1, out AvailabilityMeter meter);
        nemesis.Step();
        Assert.Equal([1], cluster.Killed);
        Assert.Equal([null], meter.Gaps());
    }

    [Fact]
    public void ANodeThatHidesThatItsDiskIsFullIsFoundOut()
    {
        Watched cluster = new(3) { HidesFullDisk = true };
        BrokenPromiseException broken = Assert.Throws<BrokenPromiseException>(() => Make(cluster, TortureFaults.Disk, seed: 1, out _).Step());
        Assert.Contains("node-3 says nothing of its disk", broken.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFollowersDeathAndTheDeathOfAllAreNoKillsOfALeader()
    {
        Watched cluster = new(3) { Shards = [[], [], []] };
        Make(cluster, TortureFaults.Kill, seed: 1, out AvailabilityMeter followers).Step();
        Assert.Empty(followers.Gaps());
        cluster.Shards = [[0], [1], [2]];
        Make(cluster, TortureFaults.Power, seed: 1, out AvailabilityMeter all).Step();
        Assert.Empty(all.Gaps());
    }

    private static Nemesis Make(Watched cluster, TortureFaults faults, ulong seed, out AvailabilityMeter meter)
    {
        meter = new AvailabilityMeter(_ => 0);
        return new Nemesis(cluster, faults, TimeSpan.FromSeconds(30), new SeededRandom(seed), new HistoryClock(TimeProvider.System), meter, _ => { }, cluster.Pass);
    }

    /// <summary>Remembers what is broken at each moment that the nemesis lets pass.</summary>
    private sealed class Watched(int nodes) : ITorturedCluster
    {
        private readonly HashSet<int> _dead = [];
        private readonly HashSet<int> _frozen = [];
        private readonly HashSet<(int From, int To)> _cut = [];
        private bool _isDiskFull;

        public int NodeCount => nodes;

        public IReadOnlyList<IReadOnlyList<int>> Shards { get; set; } = [.. Enumerable.Range(0, nodes).Select(i => (IReadOnlyList<int>)[i])];

        public List<int> Killed { get; } = [];

        public int MostDisturbed { get; private set; }

        public int OneWayCuts { get; private set; }

        public int TwoWayCuts { get; private set; }

        public SortedSet<LinkCut> WaysOfCutting { get; } = [];

        public int DisksFilled { get; private set; }

        public int Replaced { get; private set; }

        public bool IsWhole => _dead.Count + _frozen.Count + _cut.Count == 0 && !_isDiskFull;

        public int? SmallDisk => nodes - 1;

        public bool IsFrozen => _frozen.Count > 0;

        /// <summary>Hears how many milliseconds the nemesis lets pass.</summary>
        public Action<int> Passes { get; set; } = _ => { };

        public void Pass(int milliseconds)
        {
            Passes(milliseconds);
            Look();
        }

        /// <summary>How many nodes must be left out for the rest to be whole.</summary>
        public void Look()
        {
            int[] broken = [.. _dead.Union(_frozen)];
            if (_isDiskFull)
                broken = [.. broken.Union([nodes - 1])];
            int fewest = Enumerable.Range(0, 1 << nodes)
                .Where(set => Array.TrueForAll(broken, b => (set & (1 << b)) != 0) && _cut.All(c => (set & (1 << c.From)) != 0 || (set & (1 << c.To)) != 0))
                .Min(set => int.PopCount(set));
            MostDisturbed = Math.Max(MostDisturbed, fewest);
            OneWayCuts += _cut.Count(c => !_cut.Contains((c.To, c.From)));
            TwoWayCuts += _cut.Count(c => _cut.Contains((c.To, c.From)));
        }

        public IReadOnlyList<IReadOnlyList<int>> Leads() => _isDiskFull ? [.. Shards.Select((s, n) => n == SmallDisk ? [] : s)] : Shards;

        public void Kill(int node)
        {
            Assert.True(_dead.Add(node));
            Killed.Add(node);
        }

        public void Terminate(int node) => Assert.True(_dead.Add(node));

        public void Start(int node) => Assert.True(_dead.Remove(node));

        public void Freeze(int node) => Assert.True(_frozen.Add(node));

        public void Thaw(int node) => Assert.True(_frozen.Remove(node));

        public void Cut(int from, int to, LinkCut how)
        {
            WaysOfCutting.Add(how);
            Assert.NotEqual(from, to);
            Assert.True(_cut.Add((from, to)));
        }

        public void HealLinks() => _cut.Clear();

        public void FillDisk()
        {
            _isDiskFull = true;
            DisksFilled++;
        }

        public void FreeDisk() => _isDiskFull = false;

        public bool HidesFullDisk { get; init; }

        public bool SaysDiskIsFull(int node) => _isDiskFull && node == SmallDisk && !HidesFullDisk;

        public void Press(Func<bool> until, long bytesMax) => Look();

        public bool IsReceivingSnapshot(int node) => !_dead.Contains(node);

        public bool IsChangingMembers() => true;

        public void Replace(int node)
        {
            Assert.Contains(node, _dead);
            Replaced++;
        }

        public void AwaitAll() => Assert.True(IsWhole);

        public void AwaitWhole() => Assert.True(IsWhole);
    }
}
