using System.Collections.Immutable;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// One shard of a keyspace and the Raft group that keeps it: where its copies shall be. Where they are is known to the group,
/// whose leader brings the one to the other (<see cref="Reconciliation"/>).
/// </summary>
public sealed record GroupRecord
{
    public required GroupId Id { get; init; }

    public required KeyspaceId Keyspace { get; init; }

    /// <summary>Which of the keyspace's shards, from 0.</summary>
    public required int Shard { get; init; }

    /// <summary>The nodes whose copies shall vote; ascending, never empty. Of the directory itself all other nodes learn.</summary>
    public required ImmutableArray<NodeId> Replicas { get; init; }

    /// <summary>
    /// Which copy of each of these nodes is meant, in their order; empty while it is everybody's first. A node that is named anew gets
    /// the epoch before as its generation, so that no two of its copies are ever the same member.
    /// </summary>
    public ImmutableArray<uint> Generations { get; init; } = [];

    /// <summary>
    /// Who was named since the group settled last, and is not now; ascending by node. They have their copies until it settles, and one
    /// that is named again before is the same member.
    /// </summary>
    public ImmutableArray<MemberId> Leaving { get; init; } = [];

    /// <summary>
    /// The nodes that the group began with; ascending, never changed. All of them found it with this one configuration,
    /// whatever has become of <see cref="Replicas"/> until they hear of it: two foundings would be two histories.
    /// </summary>
    public required ImmutableArray<NodeId> Founders { get; init; }

    /// <summary>Grows with each change of <see cref="Replicas"/>, from 1.</summary>
    public required ulong Epoch { get; init; }

    /// <summary>
    /// The last epoch whose replicas are the group's committed configuration, as its leader told; 0 before the first. While it
    /// is behind <see cref="Epoch"/>, nodes that are no longer named may still be needed.
    /// </summary>
    public ulong SettledEpoch { get; init; }

    /// <summary>Who should lead, if it can; nobody for whoever is elected.</summary>
    public NodeId PreferredLeader { get; init; }

    /// <summary>The preferred leader was chosen by a person: spreading leaders does not change it.</summary>
    public bool IsLeaderPinned { get; init; }

    public bool IsSettled => SettledEpoch == Epoch;

    /// <summary>The members that shall vote, in the order of their nodes.</summary>
    public IEnumerable<MemberId> Members => Replicas.Select(MemberOn);

    public bool IsReplica(NodeId node) => Replicas.Contains(node);

    /// <summary>The copy of this node that is wanted; nobody when none is.</summary>
    public MemberId MemberOn(NodeId node)
    {
        int at = Replicas.IndexOf(node);
        return at < 0 ? MemberId.None : GroupMember.Of(node, Generations.IsEmpty ? 0 : Generations[at]);
    }

    public bool Equals(GroupRecord? other) =>
        other is not null && Id == other.Id && Keyspace == other.Keyspace && Shard == other.Shard && Epoch == other.Epoch
        && SettledEpoch == other.SettledEpoch && PreferredLeader == other.PreferredLeader && IsLeaderPinned == other.IsLeaderPinned
        && Replicas.AsSpan().SequenceEqual(other.Replicas.AsSpan()) && Founders.AsSpan().SequenceEqual(other.Founders.AsSpan())
        && Generations.AsSpan().SequenceEqual(other.Generations.AsSpan()) && Leaving.AsSpan().SequenceEqual(other.Leaving.AsSpan());

    public override int GetHashCode() => (int)Id.Value;

    public override string ToString() =>
        $"group {Id}, shard {Shard} of keyspace {Keyspace}, on {string.Join(" ", Members)} in epoch {Epoch} (settled {SettledEpoch})";
}
