using Kvasir.Cluster.Groups;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class WriteRoomTests
{
    /// <summary>A writer that waits wants no clock to come first.</summary>
    [Fact]
    public void WhoWantsRoomForWritesHasTheLargestFlushedAtOnce()
    {
        ClusterWorld world = ClusterWorld.OfThree(42, new LsmEngineFactory());
        for (int i = 0; i < 20; i++)
            world.Put(0, $"key{i}", ClusterWorld.Large);
        world.RunUntil(world.IsLevel, "all have it");
        ClusterMember member = world.Members[0];
        RaftGroup largest = member.Node.Host!.Groups.MaxBy(static g => g.Replica.Engine.GetStatistics().MemTableBytes)!;
        Assert.NotNull(largest.Replica.Engine.OldestUnflushedPosition);
        member.Node.Memory.AddWrite(member.Node.Memory.WriteLimitBytes);
        TimeSpan now = world.Events.Now;
        Assert.True(largest.Replica.Engine.SuggestWriteDelay(1) > TimeSpan.Zero);
        for (int i = 0; i < 100; i++)
            member.Work();
        Assert.Null(largest.Replica.Engine.OldestUnflushedPosition);
        Assert.Equal(now, world.Events.Now);
        member.Node.Memory.AddWrite(-member.Node.Memory.WriteLimitBytes);
    }
}
