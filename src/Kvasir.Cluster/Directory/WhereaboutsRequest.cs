using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// What a member asks that has heard nothing of the directory for a while: who leads it now, and where is everybody? Changes
/// nothing; the answer is a <see cref="JoinReply"/>, accepted when it comes from the leader itself.
/// </summary>
public readonly record struct WhereaboutsRequest(ulong ClusterId, NodeId Node);
