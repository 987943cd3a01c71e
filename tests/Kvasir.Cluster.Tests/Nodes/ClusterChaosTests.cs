using System.Globalization;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// Whole nodes while links are cut, messages are lost and nodes die, alone and all together: what was acknowledged stays, and
/// replicas end up equal. <c>KVASIR_CLUSTER_SEED</c> and <c>KVASIR_CLUSTER_SEEDS</c> choose others, and more.
/// </summary>
public sealed class ClusterChaosTests
{
    [Fact]
    public void NothingAcknowledgedIsLost()
    {
        ulong first = Number("KVASIR_CLUSTER_SEED") ?? 1;
        ulong count = Number("KVASIR_CLUSTER_SEEDS") ?? 6;
        var seen = new Coverage();
        for (ulong seed = first; seed < first + count; seed++)
        {
            try
            {
                Play(seed, seen);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}; replay with KVASIR_CLUSTER_SEED={seed} KVASIR_CLUSTER_SEEDS=1: {e.Message}", e);
            }
        }

        // What never happens is not tested.
        if (count >= 6)
            Assert.True(seen is { Acknowledged: > 500, Lost: > 5, Crashes: > 20, Snapshots: > 0 }, seen.ToString());
    }

    private static void Play(ulong seed, Coverage seen)
    {
        // Every other run has a journal so short that logs are cut all the time, and whoever was away needs a snapshot.
        ClusterWorld world = ClusterWorld.OfThree(
            seed, seed % 3 == 0 ? new LsmEngineFactory() : null, journalBytesMax: seed % 2 == 0 ? 512 << 20 : 64 << 10);
        SortedDictionary<string, (string Acknowledged, List<string> Possible)> keys = new(StringComparer.Ordinal);
        List<(ClusterMember Member, Kvasir.Cluster.Replicas.Gate Gate, string Key, string Value)> open = [];
        world.Network.Behaviour = new NetworkConditions { Loss = 0.01, Duplication = 0.01, Reorders = true };
        for (int step = 0; step < 600; step++)
        {
            world.Run(TimeSpan.FromMilliseconds(world.Random.Next(20)));
            Trouble(world, seen);
            string key = $"key{world.Random.Next(60)}";
            string value = $"{step}-{new string('x', world.Random.Next(seed % 2 == 0 ? 900 : 9000))}";
            ClusterMember member = world.Members[world.Random.Next(3)];
            if (!member.IsDown && open.TrueForAll(o => o.Key != key) && member.TryPut(step % 2, key + (step % 2), value) is { } gate)
            {
                open.Add((member, gate, key, value));
                if (!keys.ContainsKey(key + (step % 2)))
                    keys[key + (step % 2)] = ("", []);
                keys[key + (step % 2)].Possible.Add(value);
            }

            foreach ((ClusterMember by, Kvasir.Cluster.Replicas.Gate waits, string written, string what) in open.ToArray())
            {
                bool isLost = by.IsDown || by.Losses.Contains(waits) || !by.Knows(waits);
                if (!isLost && waits.Log is { } log && log.DurablePosition < waits.Position)
                    continue;
                open.Remove((by, waits, written, what));
                _ = isLost ? seen.Lost++ : seen.Acknowledged++;
                string full = keys.Keys.First(k => k.StartsWith(written, StringComparison.Ordinal) && keys[k].Possible.Contains(what));
                if (!isLost)
                    keys[full] = (what, [.. keys[full].Possible.SkipWhile(p => p != what)]);
            }
        }

        seen.Snapshots += world.Members.Count(m => m.Disk.Paths.Any(p => p.EndsWith(".installed", StringComparison.Ordinal)));
        world.Network.Behaviour = new NetworkConditions();
        world.Network.MendAll();
        foreach (ClusterMember member in world.Members.Where(m => m.IsDown))
            member.Restart();
        foreach ((string key, (string acknowledged, List<string> possible)) in keys)
        {
            string? value = world.Get(key[^1] - '0', key);
            Assert.True(value == acknowledged || (value is null && acknowledged.Length == 0) || possible.Contains(value ?? ""), $"{key} is {value}, and was {acknowledged}");
        }

        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all replicas have everything");
        world.AssertSameContent();
    }

    private static void Trouble(ClusterWorld world, Coverage seen)
    {
        ClusterMember victim = world.Members[world.Random.Next(3)];
        ClusterMember other = world.Members[world.Random.Next(3)];
        switch (world.Random.Next(60))
        {
            case 0 when other != victim:
                world.Network.Cut(victim.Id, other.Id);
                break;
            case 1:
            case 2:
                world.Network.MendAll();
                break;
            case 3 when world.Members.TrueForAll(m => !m.IsDown):
                seen.Crashes++;
                victim.Crash(world.Random.OneIn(2) ? CrashKind.LoseUnsynced : CrashKind.LoseSubset);
                break;
            case 4 when victim.IsDown:
            case 5 when victim.IsDown:
                victim.Restart();
                break;
            case 6 when world.Random.OneIn(4):
                seen.Crashes += 3;
                foreach (ClusterMember member in world.Members.Where(m => !m.IsDown))
                    member.Crash(CrashKind.LoseUnsynced);
                foreach (ClusterMember member in world.Members)
                    member.Restart();
                break;
        }
    }

    private static ulong? Number(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : null;

    private sealed record Coverage
    {
        public int Acknowledged { get; set; }

        public int Lost { get; set; }

        public int Crashes { get; set; }

        /// <summary>Replicas that began anew from one.</summary>
        public int Snapshots { get; set; }
    }
}
