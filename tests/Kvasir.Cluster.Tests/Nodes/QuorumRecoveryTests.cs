using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class QuorumRecoveryTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void OneNodeOfThreeGoesOnAlone(int survivor)
    {
        ClusterWorld world = ClusterWorld.OfThree(51, new LsmEngineFactory());
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"key{i}", $"value{i}");
        world.RunUntil(world.IsLevel, "all have everything");
        ClusterMember left = world.Members[survivor];
        ulong cluster = ((IClusterTopology)left.Node).ClusterId;
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);

        using (QuorumRecovery recovery = OpenFolderOf(left))
        {
            Assert.Equal(left.Id.Value, recovery.Node);
            Assert.Equal(5, recovery.Copies.Count);
            Assert.All(recovery.Copies, c => Assert.True(c is { CanGoOn: true, IsVoter: true, IsAlone: false }));
            recovery.Commit(newCluster: 77);
        }

        // A second time changes nothing.
        using (QuorumRecovery recovery = OpenFolderOf(left))
        {
            Assert.All(recovery.Copies, c => Assert.True(c.IsAlone));
            recovery.Commit(newCluster: 78);
        }

        left.Restart();
        for (int i = 0; i < 20; i++)
            Assert.Equal($"value{i}", world.Get(i % 2, $"key{i}"));
        world.Put(0, "key0", "afterwards");
        world.Put(1, "key1", "afterwards");
        Assert.Equal(78UL, ((IClusterTopology)left.Node).ClusterId);
        Assert.NotEqual(cluster, ((IClusterTopology)left.Node).ClusterId);
    }

    [Fact]
    public void FreshNodesTakeThePlacesOfTheLost()
    {
        ClusterWorld world = ClusterWorld.OfThree(52, new LsmEngineFactory());
        world.Put(0, "a", "1");
        world.RunUntil(world.IsLevel, "all have everything");
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);
        ClusterMember left = world.Members[0];
        using (QuorumRecovery recovery = OpenFolderOf(left))
            recovery.Commit(newCluster: 77);
        left.Restart();
        world.Put(0, "b", "2");
        ReplaceAllBut(left, world);
        left.Crash(CrashKind.LoseUnsynced);
        Assert.Equal(("1", "2"), (world.Get(0, "a"), world.Get(0, "b")));
    }

    [Fact]
    public void ACopyThatTheOthersWentOnWithoutIsSaidToLackWhatTheyDid()
    {
        ClusterWorld world = OfThreeAndAnother(53, isSettled: false, out ClusterMember left, out GroupId shard);
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);
        using QuorumRecovery recovery = OpenFolderOf(left);
        Assert.True(recovery.Copies.Single(c => c.Id == shard) is { CanGoOn: true, IsVoter: true, IsLeaving: true });
        Assert.Contains(recovery.Copies, c => c is { IsVoter: true, IsLeaving: false });
    }

    /// <summary>The directory here has it that the shard has settled without the copy, which was about to be removed.</summary>
    [Fact]
    public void ACopyThatWasToBeRemovedStaysWhenItIsTheOnlyOne()
    {
        ClusterWorld world = OfThreeAndAnother(54, isSettled: true, out ClusterMember left, out GroupId shard);
        MemberId copy = left.Group(shard).Member.Id;
        string content = left.Content(shard);
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.ProcessKill);
        using (QuorumRecovery recovery = OpenFolderOf(left))
        {
            Assert.True(recovery.Copies.Single(c => c.Id == shard) is { CanGoOn: true, IsLeaving: true });
            recovery.Commit(newCluster: 77);
        }

        left.Restart();
        world.RunUntil(() => left.Node.View.Group(shard)?.MemberOn(left.Id) == copy, "the directory has it that this is the copy");
        Assert.NotEqual("", content);
        Assert.Equal(content, left.Content(shard));
        Assert.True(left.Group(shard).IsServing);
        ReplaceAllBut(left, world);
        Assert.Equal(content, left.Content(shard));
    }

    [Fact]
    public void ACopyThatIsStoppedIsSaidToBe()
    {
        ClusterWorld world = ClusterWorld.OfThree(55, new LsmEngineFactory());
        ClusterMember left = world.Members[1];
        GroupId shard = left.Node.View.Groups[^1].Id;
        left.Do(_ => left.Group(shard).Damaged(new CorruptionException("a table", 0, "so the test says")));
        world.RunUntil(() => left.Disk.FileExists($"/data/replicas/{shard}.damaged"), "it is written down");
        left.Crash(CrashKind.LoseUnsynced);
        using QuorumRecovery recovery = OpenFolderOf(left);
        Assert.All(recovery.Copies, c => Assert.Equal(c.Id == shard, c.IsStopped));
    }

    [Fact]
    public void OtherFoldersAreRefused()
    {
        using NodeInMemory world = new();
        var environment = new NodeEnvironment(world.Disk, new SimulatedScheduler(new SeededRandom(1)), [new LsmEngineFactory()], 1);
        StorageException refused = Assert.Throws<StorageException>(() => QuorumRecovery.Open("/data", environment));
        Assert.Contains("is not the folder of a cluster's node", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// Until the others go on without a copy that is still there; and, where it shall be settled, until its node has said that it has
    /// that in its log of the directory, and has not heard that it is committed.
    /// </summary>
    private static ClusterWorld OfThreeAndAnother(ulong seed, bool isSettled, out ClusterMember left, out GroupId shard)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed, new LsmEngineFactory());
        for (int i = 0; i < 20; i++)
            world.Put(i / 10, $"key{i}", $"value{i}");
        world.RunUntil(world.IsLevel, "all have everything");
        world.Add();
        (ClusterMember Member, GroupId Shard)? found = null;
        world.RunUntil(
            () => (found = world.Members.Where(m => m.Id.Value > 1).SelectMany(m => m.Node.Host!.Groups.Where(g => IsLeft(world, m, g, isSettled)).Select(g => (m, g.Id)))
                .Cast<(ClusterMember, GroupId)?>().FirstOrDefault()) is not null,
            "the others go on without a copy that is still there");
        (left, shard) = found!.Value;
        return world;
    }

    private static bool IsLeft(ClusterWorld world, ClusterMember member, RaftGroup copy, bool isSettled)
    {
        bool isLeft = copy.Id != GroupId.Directory
            && world.Members.Exists(m => m.Node.Host!.TryFind(copy.Id, out RaftGroup? other) && other.IsServing && !other.Configuration.IsMember(copy.Member.Id));
        if (!isLeft || !isSettled)
            return isLeft;
        ClusterMember leader = world.Members.Single(m => m.Group(GroupId.Directory).IsServing);
        return leader != member && leader.Node.View.Group(copy.Id) is { IsSettled: true } settled && !settled.IsReplica(member.Id)
            && leader.Group(GroupId.Directory).TryFollower(GroupMember.Of(member.Id), out FollowerStatus status)
            && status.MatchIndex == leader.Group(GroupId.Directory).LastIndex;
    }

    /// <summary>With two new nodes, as the manual says.</summary>
    private static void ReplaceAllBut(ClusterMember left, ClusterWorld world)
    {
        ulong[] lost = [.. world.Members.Where(m => m.IsDown).Select(m => m.Id.Value)];
        ClusterMember[] together = [left, world.Add(), world.Add()];
        world.RunUntil(() => Array.TrueForAll(together, m => left.Node.View.Node(m.Id) is { State: NodeState.Active }), "the new ones can hold copies");
        foreach (ulong id in lost)
        {
            string? refused = "";
            left.Node.Mailbox.Post(new ActionItem(_ => ((IClusterAdministration)left.Node).Decommission(new NodeId(id), answer => refused = answer)));
            world.RunUntil(() => refused is not "", "the decommission is answered");
            Assert.Null(refused);
        }

        world.RunUntil(
            () => left.Node.View.Groups.All(g => g.IsSettled && g.Replicas.SequenceEqual(together.Select(m => m.Id).Order())),
            "the new ones have their copies", seconds: 120);
    }

    private static QuorumRecovery OpenFolderOf(ClusterMember member) =>
        QuorumRecovery.Open("/data", new NodeEnvironment(member.Disk, new SimulatedScheduler(new SeededRandom(1)), [new LsmEngineFactory()], 1));
}
