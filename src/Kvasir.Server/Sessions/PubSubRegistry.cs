using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>Who listens to which channel. Inside the mailbox.</summary>
internal sealed class PubSubRegistry
{
    private readonly RespWriter _message2 = new(new BytesBuffer(256));
    private readonly RespWriter _message3 = new(new BytesBuffer(256)) { Protocol = 3 };

    public Dictionary<byte[], List<RespSession>> Channels { get; } = new(ByteKeyComparer.Instance);

    public Dictionary<byte[], List<RespSession>> Patterns { get; } = new(ByteKeyComparer.Instance);

    public Dictionary<byte[], List<RespSession>> ShardChannels { get; } = new(ByteKeyComparer.Instance);

    public bool HasListeners => Channels.Count + Patterns.Count != 0;

    /// <summary>False when it already listens.</summary>
    public static bool Add(Dictionary<byte[], List<RespSession>> topics, HashSet<byte[]> own, ReadOnlySpan<byte> name, RespSession session)
    {
        byte[] key = name.ToArray();
        if (!own.Add(key))
            return false;
        if (!topics.TryGetValue(key, out List<RespSession>? listeners))
            topics.Add(key, listeners = []);
        listeners.Add(session);
        return true;
    }

    public static bool Remove(Dictionary<byte[], List<RespSession>> topics, HashSet<byte[]> own, ReadOnlySpan<byte> name, RespSession session)
    {
        byte[] key = name.ToArray();
        if (!own.Remove(key))
            return false;
        List<RespSession> listeners = topics[key];
        listeners.Remove(session);
        if (listeners.Count == 0)
            topics.Remove(key);
        return true;
    }

    /// <summary>Forgets everything a session listens to.</summary>
    public void RemoveAll(RespSession session)
    {
        SessionSubscriptions own = session.Subscriptions;
        foreach (byte[] name in own.Channels.ToArray())
            Remove(Channels, own.Channels, name, session);
        foreach (byte[] name in own.Patterns.ToArray())
            Remove(Patterns, own.Patterns, name, session);
        foreach (byte[] name in own.ShardChannels.ToArray())
            Remove(ShardChannels, own.ShardChannels, name, session);
    }

    /// <summary>Sends a message; returns how many heard it. <paramref name="current"/> runs now: its own copy goes into its replies.</summary>
    public int Publish(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, RespSession? current)
    {
        int heard = 0;
        if (Channels.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(channel, out List<RespSession>? listeners))
            heard += Deliver("message"u8, channel, message, listeners, current);
        if (Patterns.Count == 0)
            return heard;
        foreach ((byte[] pattern, List<RespSession> matching) in Patterns)
        {
            if (!GlobPattern.Matches(pattern, channel, ignoreCase: false))
                continue;
            Encode("pmessage"u8, pattern, channel, message);
            heard += Send(matching, current);
        }

        return heard;
    }

    public int PublishShard(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, RespSession? current) =>
        ShardChannels.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(channel, out List<RespSession>? listeners)
            ? Deliver("smessage"u8, channel, message, listeners, current)
            : 0;

    private int Deliver(
        ReadOnlySpan<byte> kind, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, List<RespSession> listeners, RespSession? current)
    {
        foreach (RespWriter writer in (ReadOnlySpan<RespWriter>)[_message2, _message3])
        {
            writer.Buffer.ClearAndTrim(1 << 16);
            writer.PushHeader(3);
            writer.BulkString(kind);
            writer.BulkString(channel);
            writer.BulkString(message);
        }

        return Send(listeners, current);
    }

    private void Encode(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        foreach (RespWriter writer in (ReadOnlySpan<RespWriter>)[_message2, _message3])
        {
            writer.Buffer.ClearAndTrim(1 << 16);
            writer.PushHeader(4);
            writer.BulkString(kind);
            writer.BulkString(pattern);
            writer.BulkString(channel);
            writer.BulkString(message);
        }
    }

    private int Send(List<RespSession> listeners, RespSession? current)
    {
        foreach (RespSession session in listeners)
        {
            BytesBuffer bytes = session.Reply.Protocol >= 3 ? _message3.Buffer : _message2.Buffer;
            // A client that wants no replies gets its messages all the same: beside what is cut away.
            if (ReferenceEquals(session, current) && session.Client.ReplyMode == ReplyMode.On)
                session.Output.Buffer.Append(bytes.WrittenSpan);
            else
                session.Push(bytes.WrittenSpan);
        }

        return listeners.Count;
    }
}
