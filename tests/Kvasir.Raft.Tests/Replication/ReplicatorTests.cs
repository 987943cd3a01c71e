using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests.Replication;

public sealed class ReplicatorTests
{
    private static readonly RaftSettings s_settings = new() { QuiesceAfter = TimeSpan.MaxValue, AppendBytesMax = 3 };

    private readonly Ready _ready = new();

    [Fact]
    public void WhatIsOldGoesOutAsTheDriverBearsItAndWhatIsNewAtOnce()
    {
        Bench bench = LeaderWithLaggards(3);
        Accept(bench, from: 3);
        bench.Raft.TakeReady(_ready, 0);
        Assert.Equal((0, true), (_ready.OldBytes, _ready.HoldsBack));
        Assert.Empty(Appends(to: 3));

        bench.Raft.TakeReady(_ready, 4);
        Assert.Equal((6, true), (_ready.OldBytes, _ready.HoldsBack));
        Assert.Equal(["2..4", "5..7"], Appends(to: 3));

        // What is proposed now waits for nobody who lags behind.
        bench.Member.Propose(bench.Now, "k");
        bench.Raft.TakeReady(_ready, 0);
        Assert.Equal((0, true), (_ready.OldBytes, _ready.HoldsBack));
        Assert.Equal(["12..12"], Appends(to: 2));
        Assert.Empty(Appends(to: 3));

        bench.Raft.TakeReady(_ready, 100);
        Assert.Equal((5, false), (_ready.OldBytes, _ready.HoldsBack));
        Assert.Equal(["8..10", "11..12"], Appends(to: 3));
        bench.Raft.TakeReady(_ready, 100);
        Assert.Equal((0, false), (_ready.OldBytes, _ready.HoldsBack));
    }

    [Fact]
    public void AProbeWithOldEntriesIsHeldBackToo()
    {
        Bench bench = LeaderWithLaggards(3);
        bench.PassUnseen(1);
        bench.Raft.Step(bench.Now, FromFollower(bench, MessageKind.HeartbeatResponse, 3) with { Round = 1, SentAt = bench.Now });
        bench.Raft.TakeReady(_ready, 0);
        Assert.True(_ready.HoldsBack);
        Assert.Empty(Appends(to: 3));
        bench.Raft.TakeReady(_ready, 1);
        Assert.False(_ready.HoldsBack);
        Assert.Equal(["2..4"], Appends(to: 3));
    }

    [Fact]
    public void ThoseWhoLagAreServedInTurn()
    {
        Bench bench = LeaderWithLaggards(2, 3);
        Accept(bench, from: 2);
        Accept(bench, from: 3);
        List<ulong> served = [];
        for (int turn = 0; turn < 6; turn++)
        {
            bench.Raft.TakeReady(_ready, 1);
            Assert.Equal(3, _ready.OldBytes);
            served.Add(Assert.Single(_ready.Messages.ToArray(), m => m.HasEntries).To.Value);
        }

        Assert.Equal(3, served.Count(m => m == 2));
        Assert.Equal(3, served.Count(m => m == 3));
    }

    [Fact]
    public void ACommitIsToldAtOnceWhereThatIsWanted()
    {
        Bench bench = new Bench(settings: s_settings with { TellsCommits = true }).Elected();
        bench.Acknowledge(1);
        bench.Acknowledge(1, from: 3);
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        _ = bench.Sent;

        bench.Acknowledge(2, from: 2);
        RaftMessage told = Assert.Single(bench.Sent);
        Assert.Equal((MessageKind.Append, new MemberId(2), false, new LogIndex(2)), (told.Kind, told.To, told.HasEntries, told.Commit));
        bench.Acknowledge(2, from: 2);
        Assert.Empty(bench.Sent);

        // Whoever acknowledges later hears of it then.
        bench.Acknowledge(2, from: 3);
        told = Assert.Single(bench.Sent);
        Assert.Equal((MessageKind.Append, new MemberId(3), false, new LogIndex(2)), (told.Kind, told.To, told.HasEntries, told.Commit));
    }

    [Fact]
    public void ElseACommitWaitsForTheNextAppendOrHeartbeat()
    {
        Bench bench = new Bench(settings: s_settings).Elected();
        bench.Acknowledge(1);
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        _ = bench.Sent;
        bench.Acknowledge(2);
        Assert.Empty(bench.Sent);
    }

    /// <summary>Number 1 leads, its log ends at 11, and these have nothing behind 1, and have not said so yet.</summary>
    private static Bench LeaderWithLaggards(params ulong[] laggards)
    {
        Bench bench = new Bench(settings: s_settings).Elected();
        bench.Acknowledge(1, from: 2);
        bench.Acknowledge(1, from: 3);
        foreach (ulong laggard in laggards)
            bench.Raft.PeerUnreachable(bench.Now, new MemberId(laggard));
        bench.Drain();
        bench.Member.Propose(bench.Now, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
        bench.Drain();
        if (!laggards.Contains(2UL))
            bench.Acknowledge(11, from: 2);
        _ = bench.Sent;
        return bench;
    }

    /// <summary>The probe behind 1 was right.</summary>
    private static void Accept(Bench bench, ulong from) =>
        bench.Raft.Step(bench.Now, FromFollower(bench, MessageKind.AppendResponse, from) with { Index = new LogIndex(1) });

    private static RaftMessage FromFollower(Bench bench, MessageKind kind, ulong from) =>
        new() { Kind = kind, From = new MemberId(from), To = new MemberId(1), Term = bench.Raft.Term };

    private string[] Appends(ulong to) =>
        [.. _ready.Messages.ToArray().Where(m => m.To.Value == to && m.HasEntries).Select(m => $"{m.Index.Next}..{m.LastIndex}")];
}
