namespace Kvasir.Server.Sessions;

/// <summary>What one session listens to. Touched inside the mailbox.</summary>
internal sealed class SessionSubscriptions
{
    public HashSet<byte[]> Channels { get; } = new(ByteKeyComparer.Instance);

    public HashSet<byte[]> Patterns { get; } = new(ByteKeyComparer.Instance);

    public HashSet<byte[]> ShardChannels { get; } = new(ByteKeyComparer.Instance);

    /// <summary>What SUBSCRIBE's reply counts.</summary>
    public int Count => Channels.Count + Patterns.Count;

    public bool Any => Channels.Count + Patterns.Count + ShardChannels.Count != 0;
}
