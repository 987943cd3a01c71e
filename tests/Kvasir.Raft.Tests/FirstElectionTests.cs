using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

public sealed class FirstElectionTests
{
    [Fact]
    public void ThreeMembersElectOneLeaderAndCommitWhatItIsGiven()
    {
        World world = World.Of(new RaftSettings(), 1, 2, 3);
        world.Run(TimeSpan.FromSeconds(1));
        TestMember leader = Assert.Single(world.Members, m => m.Raft.Role == RaftRole.Leader);
        Assert.True(leader.Propose(world.Now, "a", "b").IsAccepted);
        world.Settle();
        world.Run(TimeSpan.FromMilliseconds(100));
        Assert.All(world.Members, m => Assert.Equal(["1:no-op", "1:a", "1:b"], m.State));
    }

    [Fact]
    public void AMemberAloneLeadsAtOnce()
    {
        World world = World.Of(new RaftSettings(), 1);
        world.Tick();
        world.Settle();
        Assert.Equal(RaftRole.Leader, world[1].Raft.Role);
        Assert.True(world[1].Propose(world.Now, "a").IsAccepted);
        world.Settle();
        Assert.Equal(["1:no-op", "1:a"], world[1].State);
    }
}
