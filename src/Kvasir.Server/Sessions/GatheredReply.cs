using Kvasir.Cluster.Groups;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// One reply made of those of several shards: an error if any of them is one. Inside the mailbox.
/// </summary>
/// <param name="reply">Who waits for it; null for nobody.</param>
/// <param name="parts">How many there will be.</param>
internal abstract class GatheredReply(IReplySink? reply, int parts) : IReplySink
{
    private byte[]? _error;
    private int _missing = parts;

    /// <summary>Of one shard.</summary>
    public void Replied(ReadOnlySpan<byte> part)
    {
        if (part[0] == (byte)'-')
            _error ??= part.ToArray();
        else if (_error is null)
            Add(part);
        if (--_missing != 0)
            return;
        if (_error is not null)
        {
            reply?.Replied(_error);
            return;
        }

        BytesBuffer whole = new(64);
        Compose(whole);
        reply?.Replied(whole.WrittenSpan);
    }

    protected abstract void Add(ReadOnlySpan<byte> part);

    protected abstract void Compose(BytesBuffer whole);
}

/// <summary>Sends a request to the leader of a shard, whoever that is.</summary>
internal static class ShardRequest
{
    public static void Send(CommandContext context, GroupId group, int database, ReadOnlySpan<byte> request, bool writes, IReplySink? sink) =>
        context.Server.Router!.Forwarder.Send(new ForwardedRequest
        {
            Group = group,
            Database = database,
            Leader = default,
            Protocol = context.Reply.Protocol,
            Bytes = request,
            Writes = writes,
            Sink = sink,
        });

    /// <summary>The command as it came.</summary>
    public static void Copy(CommandContext context, BytesBuffer request)
    {
        request.Clear();
        RequestText.Begin(request, context.ArgumentCount);
        for (int i = 0; i < context.ArgumentCount; i++)
            RequestText.Argument(request, context.Argument(i));
    }
}
