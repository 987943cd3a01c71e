using Kvasir.Cluster.Groups;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// What a node tells the directory's leader of a copy that it has: it is damaged, or came to something else than its leader, and is
/// stopped for ever. Told again and again while it is there. True in all later lives of the node, too.
/// </summary>
/// <param name="Group">Of which it is a copy.</param>
/// <param name="Generation">Which of the node's copies it is.</param>
public readonly record struct StoppedCopy(GroupId Group, uint Generation);
