using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests.Membership;

public sealed class ConfigurationTests
{
    [Fact]
    public void IsASetWhateverTheOrder()
    {
        var a = new Configuration(World.Ids(3, 1, 2), World.Ids(5, 4));
        Assert.Equal(new Configuration(World.Ids(1, 2, 3), World.Ids(4, 5)), a);
        Assert.Equal("(1 2 3) learners(4 5)", a.ToString());
        Assert.NotEqual(new Configuration(World.Ids(1, 2, 3), World.Ids(4)), a);
        Assert.NotEqual(new Configuration(World.Ids(1, 2, 3), World.Ids(4, 5), World.Ids(1)), a);
    }

    [Fact]
    public void AJointConfigurationHasTheMembersOfBothHalves()
    {
        var joint = new Configuration(World.Ids(1, 2, 4), World.Ids(3), World.Ids(1, 2, 3));
        Assert.True(joint.IsJoint && joint.IsVoter(new MemberId(3)) && joint.IsLearner(new MemberId(3)));
        Assert.Equal(World.Ids(1, 2, 3, 4), joint.Members.ToArray());
        Assert.Equal(new Configuration(World.Ids(1, 2, 4), World.Ids(3)), joint.LeaveJoint());
        Assert.False(joint.LeaveJoint().IsVoter(new MemberId(3)));
    }

    [Fact]
    public void RefusesWhatNoConfigurationCanBe()
    {
        Assert.Throws<InvariantViolationException>(() => new Configuration(World.Ids(1, 1)));
        Assert.Throws<InvariantViolationException>(() => new Configuration(World.Ids(1, 0)));
        Assert.Throws<InvariantViolationException>(() => new Configuration(World.Ids(1), World.Ids(1)));
        Assert.Throws<InvariantViolationException>(() => new Configuration([], World.Ids(1)));
    }

    [Fact]
    public void HistoryKnowsWhatIsInForceWhereAndForgetsOnlyWhatIsNot()
    {
        var history = new ConfigurationHistory([At(0, 1), At(5, 2), At(9, 3)]);
        Assert.Equal([1UL, 1, 2, 2, 3, 3], new ulong[] { 0, 4, 5, 8, 9, 20 }.Select(i => Name(history.At(new LogIndex(i)).Configuration)));
        Assert.Equal([5UL, 9, ulong.MaxValue], new ulong[] { 0, 5, 9 }.Select(i => history.FirstAbove(new LogIndex(i)).Value));
        Assert.NotNull(history.Exactly(new LogIndex(5)));
        Assert.Null(history.Exactly(new LogIndex(6)));

        history.Compact(new LogIndex(7));
        Assert.Equal(2UL, Name(history.At(new LogIndex(7)).Configuration));
        Assert.True(history.TruncateFrom(new LogIndex(8)));
        Assert.Equal(2UL, Name(history.Current));
        Assert.False(history.TruncateFrom(new LogIndex(8)));
        Assert.Throws<InvariantViolationException>(() => history.TruncateFrom(new LogIndex(5)));
    }

    [Fact]
    public void AMemberThatJoinsHasAConfigurationInWhichNobodyVotes()
    {
        var history = new ConfigurationHistory([]);
        Assert.Equal(Configuration.Empty, history.Current);
        history.Append(At(3, 2));
        Assert.Equal(2UL, Name(history.Current));
    }

    private static ConfigurationEntry At(ulong index, ulong voter) =>
        new(new LogIndex(index), new Term(1), new Configuration(World.Ids(voter)));

    private static ulong Name(Configuration configuration) => configuration.Voters[0].Value;
}
