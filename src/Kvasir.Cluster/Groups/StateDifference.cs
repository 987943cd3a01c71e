using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups;

/// <summary>A replica has made something else of its log than the leader that wrote a digest into it.</summary>
/// <param name="Index">The entry that says so; the difference lies before it.</param>
/// <param name="Own">What this replica has come to.</param>
/// <param name="Leaders">What the leader had.</param>
public sealed record StateDifference(LogIndex Index, StateDigest Own, StateDigest Leaders)
{
    public override string ToString() =>
        $"what is applied before entry {Index} has digest {Own} here and {Leaders} at the leader: this replica is stopped, and serves nothing";
}
