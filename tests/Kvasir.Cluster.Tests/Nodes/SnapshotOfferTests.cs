using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>The first chunk of a snapshot is the offer of it: who takes it, and what others hear.</summary>
public sealed class SnapshotOfferTests
{
    private const ulong Stream = 77;

    private readonly ClusterWorld _world = ClusterWorld.OfThree(81, new LsmEngineFactory());
    private readonly ClusterMember _leader;
    private readonly ClusterMember _follower;
    private readonly GroupId _shard;
    private readonly List<(ulong Chunks, SnapshotProgress Progress)> _heard = [];

    public SnapshotOfferTests()
    {
        _world.Put(0, "key", "value");
        _shard = _world.Members[0].Route(0, "key").Group;
        _world.RunUntil(() => _world.IsLevel() && _world.Members.Exists(m => m.Group(_shard).IsServing), "all have it");
        _leader = _world.Members.Single(m => m.Group(_shard).IsServing);
        _follower = _world.Members.First(m => m != _leader);
        _follower.Loses = message =>
        {
            if (SnapshotCodec.TryReadAcknowledgement(message, out GroupId group, out ulong stream, out ulong chunks, out SnapshotProgress progress) && (group, stream) == (_shard, Stream))
                _heard.Add((chunks, progress));
            return message[0] == Channel.SnapshotAcknowledgements;
        };
    }

    private RaftGroup Group => _follower.Group(_shard);

    [Fact]
    public void WhoNeedsItTakesIt()
    {
        Offer(Group.LastIndex + 10, Group.Member.Term);
        Assert.Equal((1UL, SnapshotProgress.Receiving), Assert.Single(_heard));
        Assert.True(_follower.Node.Snapshots!.IsReplacing(Group));

        // It comes twice.
        Offer(Group.LastIndex + 10, Group.Member.Term);
        Assert.Equal((1UL, SnapshotProgress.Receiving), _heard[1]);
    }

    /// <summary>Whoever leads now may have none of what is in it.</summary>
    [Fact]
    public void ThatOfAPastLeaderIsNotTaken()
    {
        Term term = Group.Member.Term;
        _leader.Do(_ => Assert.True(_leader.Group(_shard).TryTransfer(Group.Member.Id)));
        _world.RunUntil(() => Group.IsServing, "it leads");
        _follower.Do(_ => Assert.True(Group.TryTransfer(_leader.Group(_shard).Member.Id)));
        _world.RunUntil(() => _leader.Group(_shard).IsServing && Group.Member.Role == RaftRole.Follower, "it follows");
        Offer(Group.LastIndex + 10, term);
        Assert.Equal((0UL, SnapshotProgress.Failed), Assert.Single(_heard));
        Assert.False(_follower.Node.Snapshots!.IsReplacing(Group));
    }

    /// <summary>Who led in a term that this node has not heard of, leads from now on.</summary>
    [Fact]
    public void ThatOfANewLeaderIsTakenAndSaysWhoThatIs()
    {
        Term term = Group.Member.Term.Next;
        Offer(Group.LastIndex + 10, term);
        Assert.Equal((1UL, SnapshotProgress.Receiving), Assert.Single(_heard));
        Assert.Equal(term, Group.Member.Term);
        Assert.Equal(_leader.Id, Group.Leader);
    }

    [Fact]
    public void WhoHasItSaysSo()
    {
        Offer(Group.CommitIndex, Group.Member.Term);
        Assert.Equal((0UL, SnapshotProgress.Installed), Assert.Single(_heard));
        Assert.False(_follower.Node.Snapshots!.IsReplacing(Group));
    }

    [Fact]
    public void WhatIsMeantForAnEarlierCopyIsNotTaken()
    {
        Offer(Group.LastIndex + 10, Group.Member.Term, generation: Group.Member.Id.Generation + 1);
        Assert.Equal((0UL, SnapshotProgress.Failed), Assert.Single(_heard));
        Assert.False(_follower.Node.Snapshots!.IsReplacing(Group));
    }

    [Fact]
    public void WhatComesBeforeTheFirstIsNotTaken()
    {
        var chunk = new BytesBuffer();
        SnapshotCodec.BeginChunk(chunk, _shard, Stream, 1);
        SnapshotCodec.EndChunk(chunk, chunk.Length, SnapshotChunkFlags.None);
        Post(chunk);
        Assert.Equal((0UL, SnapshotProgress.Failed), Assert.Single(_heard));
    }

    [Fact]
    public void AnOfferThatMakesNoSenseIsNotAnswered()
    {
        // An entry of a term behind that in which the sender leads.
        Offer(Group.LastIndex + 10, Group.Member.Term, entryTerm: Group.Member.Term.Next);
        Assert.Empty(_heard);
        Assert.False(_follower.Node.Snapshots!.IsReplacing(Group));
    }

    /// <summary>Nodes of two versions of the program in one cluster: whoever wonders why a copy does not come finds it in the log.</summary>
    [Theory]
    [InlineData(Channel.SnapshotChunks)]
    [InlineData(Channel.SnapshotAcknowledgements)]
    public void WhatIsOfAnotherFormatIsSaidOnce(byte channel)
    {
        var said = new List<string>();
        _follower.Node.Warner = said.Add;
        var message = new BytesBuffer();
        message.Append([channel, 2, 1, 1]);
        Post(message);
        Post(message);
        Assert.StartsWith($"node {_leader.Id} sends snapshots of format 2, and this node has format {SnapshotCodec.FormatVersion}: ", Assert.Single(said), StringComparison.Ordinal);
        Assert.Empty(_heard);
    }

    private void Offer(LogIndex index, Term term, uint? generation = null, Term? entryTerm = null)
    {
        var head = new SnapshotHead(index, entryTerm ?? term, Group.Member.ConfigurationAt(Group.CommitIndex))
        {
            Offer = new SnapshotOrigin(term, _leader.Group(_shard).Member.Id.Generation, generation ?? Group.Member.Id.Generation),
        };
        var chunk = new BytesBuffer();
        SnapshotCodec.BeginChunk(chunk, _shard, Stream, 0);
        int headBytes = chunk.Length;
        SnapshotCodec.AddHead(chunk, head);
        SnapshotCodec.AddRow(chunk, "key"u8, "value"u8, 0);
        SnapshotCodec.EndChunk(chunk, headBytes, SnapshotChunkFlags.First);
        Post(chunk);
    }

    private void Post(BytesBuffer chunk) => ((ITransportListener)_follower.Node).Received(_leader.Id, chunk.WrittenSpan);
}
