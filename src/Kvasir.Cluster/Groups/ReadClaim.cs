using Kvasir.Raft.Reads;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// A read that came while its shard's leader had no lease, and the round of heartbeats that shows that it still leads. Belongs to
/// one command and goes with it: for a command that comes later the round says nothing.
/// </summary>
public readonly record struct ReadClaim(GroupId Group, ReadTicket Ticket);
