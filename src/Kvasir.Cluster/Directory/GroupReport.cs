using Kvasir.Cluster.Groups;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// What the leader of a group tells the directory: its committed configuration is the one that this epoch of the group's record
/// asks for. Told again until the record says so.
/// </summary>
public readonly record struct GroupReport(GroupId Group, ulong Epoch);
