using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft.Tests.Replication;

public sealed class ProgressTests
{
    private static readonly TimeSpan s_now = TimeSpan.FromSeconds(1);

    [Fact]
    public void AProbeWaitsForAnAnswerOrForALaterHeartbeats()
    {
        Progress peer = At(6);
        Assert.True(peer.HasRoom(1, 1));
        peer.Sent(new LogIndex(6), 1, s_now);
        Assert.False(peer.HasRoom(100, 100));
        peer.HeartbeatAnswered(s_now);
        Assert.False(peer.HasRoom(100, 100));
        peer.HeartbeatAnswered(s_now + TimeSpan.FromTicks(1));
        Assert.True(peer.HasRoom(100, 100));
    }

    [Fact]
    public void TheWindowIsBoundedInMessagesAndInBytes()
    {
        Progress peer = At(1);
        peer.BecomeReplicate();
        for (ulong i = 1; i <= 3; i++)
        {
            Assert.True(peer.HasRoom(3, 100));
            peer.Sent(new LogIndex(i), 10, s_now);
        }

        Assert.False(peer.HasRoom(3, 100));
        Assert.False(peer.HasRoom(100, 30));
        Assert.True(peer.HasRoom(100, 31));
        peer.Acknowledged(new LogIndex(2));
        Assert.Equal((1, 10L), (peer.InflightMessages, peer.InflightBytes));
        Assert.True(peer.HasRoom(3, 100));
    }

    [Fact]
    public void TheWindowKeepsItsOrderWhenItGrowsAroundItsEnd()
    {
        Progress peer = At(1);
        peer.BecomeReplicate();
        ulong sent = 0, acknowledged = 0;
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 1 + (round % 7); i++)
                peer.Sent(new LogIndex(++sent), (long)sent, s_now);
            acknowledged += (ulong)Math.Min(3, (int)(sent - acknowledged));
            peer.Acknowledged(new LogIndex(acknowledged));
            long expected = 0;
            for (ulong i = acknowledged + 1; i <= sent; i++)
                expected += (long)i;
            Assert.Equal(((int)(sent - acknowledged), expected), (peer.InflightMessages, peer.InflightBytes));
        }
    }

    [Theory]
    // next, refused, hint, expected next
    [InlineData(10, 9, 5, 6)]
    [InlineData(10, 9, 20, 9)]  // never forward
    [InlineData(10, 9, 0, 1)]
    [InlineData(10, 7, 5, 10)]  // of an older append
    public void AProbeGoesBackWhereTheHintSays(ulong next, ulong refused, ulong hint, ulong expected)
    {
        Progress peer = At(next);
        peer.Refused(new LogIndex(refused), new LogIndex(hint));
        Assert.Equal(new LogIndex(expected), peer.NextIndex);
    }

    [Fact]
    public void ARefusalInTheStreamFallsBackToProbingBehindWhatIsKnown()
    {
        Progress peer = At(4);
        peer.Acknowledged(new LogIndex(3));
        peer.BecomeReplicate();
        peer.Sent(new LogIndex(9), 1, s_now);
        Assert.False(peer.Refused(new LogIndex(3), new LogIndex(1)));
        Assert.True(peer.Refused(new LogIndex(9), new LogIndex(5)));
        Assert.Equal((ReplicationState.Probe, new LogIndex(6), 0), (peer.State, peer.NextIndex, peer.InflightMessages));
        Assert.True(peer.Refused(new LogIndex(5), new LogIndex(1)));
        Assert.Equal(new LogIndex(4), peer.NextIndex);
    }

    [Fact]
    public void NothingIsAppendedWhileASnapshotIsOnItsWay()
    {
        Progress peer = At(4);
        peer.BecomeSnapshot(until: LogIndex.Zero);
        Assert.False(peer.HasRoom(100, 100));
        peer.SnapshotFinished(new LogIndex(8), s_now);
        Assert.Equal((ReplicationState.Probe, new LogIndex(9), false), (peer.State, peer.NextIndex, peer.HasRoom(100, 100)));
        peer.HeartbeatAnswered(s_now + TimeSpan.FromTicks(1));
        Assert.True(peer.HasRoom(100, 100));
    }

    private static Progress At(ulong next)
    {
        var peer = new Progress(new MemberId(2));
        peer.Reset(new LogIndex(next));
        return peer;
    }
}
