using Kvasir.Cluster.Nodes;
using Kvasir.Server.Commands.Generic;

namespace Kvasir.Server.Sessions;

/// <summary>What all sessions of one server share.</summary>
internal sealed class ServerState
{
    public ServerState(KvasirNode node) => Node = node;

    public KvasirNode Node { get; }

    public KeyEvents Events { get; } = new();

    public ScanCursors ScanCursors { get; } = new((ulong)Random.Shared.NextInt64());
}
