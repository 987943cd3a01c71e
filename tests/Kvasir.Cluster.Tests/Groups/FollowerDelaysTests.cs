using System.Globalization;
using Kvasir.Cluster.Groups;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups;

public sealed class FollowerDelaysTests
{
    private static readonly GroupId s_group = new(7);
    private static readonly MemberId s_member = GroupMember.Of(new(2), 0);

    /// <summary>Looks at second:match/commit; and the delay in seconds at second:match/commit behind the arrow.</summary>
    [Theory]
    [InlineData("1:10/10 2:10/10 > 3:10/12", 0)] // It lacked nothing when it was looked at.
    [InlineData("1:10/12 > 1:10/12", 0)]
    [InlineData("1:10/12 > 4:10/12", 3)]
    [InlineData("1:10/12 2:10/20 3:10/30 > 4:10/40", 3)] // It gets nothing.
    [InlineData("1:10/12 2:11/20 3:11/30 > 4:11/40", 3)] // It gets something, and not what was there first.
    [InlineData("1:10/12 2:12/20 > 4:13/20", 3)] // At 2 it had what there was at 1.
    [InlineData("1:10/12 2:12/20 > 4:20/30", 2)] // It has what there was at 2, since the last look.
    [InlineData("1:10/20 2:20/30 3:30/40 4:40/50 > 5:45/60", 2)] // It is always a look behind.
    [InlineData("1:10/12 2:12/12 > 9:12/12", 0)] // It has everything.
    [InlineData("1:10/12 2:12/12 3:12/13 > 9:12/13", 6)]
    [InlineData("1:10/12 2:- 3:10/12 > 4:10/12", 1)] // This node did not lead meanwhile.
    public void ADelayIsCountedFromTheLastMarkThatWasReached(string script, int seconds)
    {
        FollowerDelays delays = new();
        string[] parts = script.Split(" > ");
        foreach (string look in parts[0].Split(' '))
        {
            delays.Begin();
            if (!look.EndsWith('-'))
                Call(look, (match, commit, now) => delays.Look(s_group, s_member, match, commit, now));
        }

        TimeSpan delay = TimeSpan.MinValue;
        Call(parts[1], (match, commit, now) => delay = delays.Of(s_group, s_member, match, commit, now));
        Assert.Equal(TimeSpan.FromSeconds(seconds), delay);
        Assert.Equal(TimeSpan.Zero, delays.Of(new(8), s_member, new(1), new(2), TimeSpan.FromSeconds(99)));
    }

    private static void Call(string look, Action<LogIndex, LogIndex, TimeSpan> action)
    {
        ulong[] numbers = [.. look.Split(':', '/').Select(static n => ulong.Parse(n, CultureInfo.InvariantCulture))];
        action(new(numbers[1]), new(numbers[2]), TimeSpan.FromSeconds(numbers[0]));
    }
}
