using System.Globalization;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// Nodes come, are drained, leave for good and die at any moment while copies and leaders move: what was acknowledged stays, and in the
/// end every copy is where the directory wants it, and nowhere else. <c>KVASIR_MEMBERSHIP_SEED</c> and
/// <c>KVASIR_MEMBERSHIP_SEEDS</c> choose others, and more.
/// </summary>
public sealed class MembershipChaosTests
{
    [Fact]
    public void CopiesMoveAndNothingIsLost()
    {
        ulong first = Number("KVASIR_MEMBERSHIP_SEED") ?? 1;
        ulong count = Number("KVASIR_MEMBERSHIP_SEEDS") ?? 6;
        for (ulong seed = first; seed < first + count; seed++)
        {
            try
            {
                Play(seed);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}; replay with KVASIR_MEMBERSHIP_SEED={seed} KVASIR_MEMBERSHIP_SEEDS=1: {e.Message}", e);
            }
        }
    }

    private static void Play(ulong seed)
    {
        ClusterWorld world = ClusterWorld.OfThree(
            seed, seed % 3 == 0 ? new LsmEngineFactory() : null, journalBytesMax: seed % 2 == 0 ? 512 << 20 : 128 << 10);
        try
        {
            Play(world);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException(e.Message + Picture(world), e);
        }
    }

    private static void Play(ClusterWorld world)
    {
        SortedDictionary<string, string> written = new(StringComparer.Ordinal);
        world.Add();
        world.Add();
        for (int step = 0; step < 60; step++)
        {
            Trouble(world);
            string key = $"key{world.Random.Next(40)}";
            written[key] = $"{step}-{new string('x', world.Random.Next(900))}";
            world.Put(0, key, written[key]);
            world.Run(TimeSpan.FromMilliseconds(world.Random.Next(300)));
        }

        world.Network.Behaviour = new NetworkConditions();
        foreach (ClusterMember member in world.Members.Where(m => m.IsDown))
            member.Restart();
        EndDrains(world);
        Leave(world, new NodeId(4));
        world.RunUntil(() => IsAtRest(world), "every copy is where it is wanted, and nowhere else", seconds: 120);
        foreach ((string key, string value) in written)
            Assert.Equal(value, world.Get(0, key));
    }

    private static void Trouble(ClusterWorld world)
    {
        ClusterMember member = world.Members[world.Random.Next(world.Members.Count)];
        ClusterMember asked = world.Members[world.Random.Next(world.Members.Count)];
        switch (world.Random.Next(10))
        {
            case 0:
            case 1:
                // One at a time, so that majorities are left.
                if (world.Members.TrueForAll(m => !m.IsDown))
                    member.Crash(world.Random.OneIn(2) ? CrashKind.LoseUnsynced : CrashKind.LoseSubset);
                break;
            case 2:
            case 3:
            case 4:
                foreach (ClusterMember down in world.Members.Where(m => m.IsDown))
                    down.Restart();
                break;
            case 5:
                Ask(asked, a => a.Drain(member.Id, static _ => { }));
                break;
            case 6:
                Ask(asked, a => a.TransferLeader("db" + world.Random.Next(2), world.Random.Next(2), member.Id, static _ => { }));
                break;
            case 7:
                world.Network.Behaviour = world.Random.OneIn(2) ? new NetworkConditions() : new NetworkConditions { Loss = 0.02, Duplication = 0.02, Reorders = true };
                break;
            case 8 when world.Random.OneIn(3):
                Ask(asked, static a => a.Decommission(new NodeId(4), static _ => { }));
                break;
            case 9 when world.Random.OneIn(6):
                foreach (ClusterMember all in world.Members.Where(m => !m.IsDown))
                    all.Crash(CrashKind.LoseUnsynced);
                foreach (ClusterMember all in world.Members)
                    all.Restart();
                break;
        }
    }

    /// <summary>A drain is over when the node starts again; one after the other.</summary>
    private static void EndDrains(ClusterWorld world)
    {
        foreach (ClusterMember member in world.Members)
        {
            world.Run(TimeSpan.FromSeconds(2));
            if (StateOf(world, member.Id) != NodeState.Draining)
                continue;
            member.Crash(CrashKind.LoseUnsynced);
            member.Restart();
            world.RunUntil(() => StateOf(world, member.Id) != NodeState.Draining, $"node {member.Id} is active again");
        }
    }

    private static DirectoryView Newest(ClusterWorld world) =>
        (world.Members.Find(m => !m.IsDown && m.Node.Host?.TryFind(GroupId.Directory, out RaftGroup? d) == true && d.HasLease) ?? world.Members[0]).Node.View;

    /// <summary>By who leads the directory.</summary>
    private static NodeState? StateOf(ClusterWorld world, NodeId node)
    {
        ClusterMember? leader = null;
        world.RunUntil(() => (leader = world.Members.Find(m => !m.IsDown && m.Node.Host?.TryFind(GroupId.Directory, out RaftGroup? d) == true && d.HasLease)) is not null, "the directory is led");
        return leader!.Node.View.Node(node)?.State;
    }

    /// <summary>Asked again until somebody says that it is done.</summary>
    private static void Leave(ClusterWorld world, NodeId node)
    {
        string? answer = "not asked";
        int asked = 0;
        world.RunUntil(
            () =>
            {
                ClusterMember member = world.Members[asked++ % world.Members.Count];
                if (answer is not null && !member.IsDown && asked % 500 < world.Members.Count)
                    Ask(member, a => a.Decommission(node, error => answer = error));
                return answer is null;
            },
            $"node {node} is leaving");
    }

    private static void Ask(ClusterMember member, Action<IClusterAdministration> question)
    {
        if (!member.IsDown)
            member.Do(_ => question(member.Node));
    }

    private static bool IsAtRest(ClusterWorld world)
    {
        DirectoryView view = Newest(world);
        return view.Groups.Length > 1 && view.Groups.All(g => g.IsSettled && g.Replicas.Length == 3) && world.Members.TrueForAll(m => HasWhatItShould(m, view));
    }

    private static bool HasWhatItShould(ClusterMember member, DirectoryView view)
    {
        // One that was away until the cluster had done without it does not hear of it; what it has is nobody's.
        if (!view.IsMember(view.Node(member.Id)!))
            return true;
        if (member.Node.Host is not { } host)
            return false;
        foreach (GroupRecord record in view.Groups)
        {
            if (record.Id == GroupId.Directory)
                continue;
            bool isHere = host.TryFind(record.Id, out _);
            bool hasFiles = member.Disk.FolderExists($"/data/replicas/{record.Id}")
                || (member.Disk.FolderExists("/data/replicas") && member.Disk.ListFolders("/data/replicas").Any(f => f.StartsWith($"{record.Id}.", StringComparison.Ordinal)));
            if (isHere != record.IsReplica(member.Id) || hasFiles != isHere)
                return false;
        }

        return true;
    }

    private static string Picture(ClusterWorld world)
    {
        DirectoryView view = Newest(world);
        IEnumerable<string> nodes = view.Nodes.Select(n => $"node {n.Id}: {n.State}, started {n.Incarnation} times");
        IEnumerable<string> groups = view.Groups.Select(g => $"{g}\n" + string.Join('\n', world.Members.Select(m =>
            m.IsDown ? $"- at {m.Id}: down" : m.Node.Host is { } host && host.TryFind(g.Id, out RaftGroup? group)
                ? $"- at {m.Id}: {group.Role} of {group.Term} led by {group.Leader}, {group.Configuration}, {group.AppliedIndex} of {group.LastIndex} applied"
                : $"- at {m.Id}: nothing")));
        return "\n" + string.Join('\n', nodes.Concat(groups).Concat(world.Members.SelectMany(m => m.Announced.TakeLast(3).Select(a => $"{m.Id}: {a}"))));
    }

    private static ulong? Number(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : null;
}
