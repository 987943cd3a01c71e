namespace Kvasir.Cluster.Transport;

/// <summary>The first byte of a message between nodes: for whom it is (docs/formats/peer-protocol.md).</summary>
public static class Channel
{
    public const byte Raft = 1;
    public const byte Requests = 2;
    public const byte Replies = 3;
    public const byte Calls = 4;
    public const byte SnapshotChunks = 5;
    public const byte SnapshotAcknowledgements = 6;
    public const byte Published = 7;
}
