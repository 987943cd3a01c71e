using System.Globalization;
using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands.Generic;

/// <summary>
/// Commands on whole databases in a cluster: asked of the leader of each shard, and answered for all of them. Shards answer
/// one after the other, so that such an answer is of no one moment.
/// </summary>
internal static class ShardCommands
{
    private const string Dropped = CommandDispatcher.DatabaseGone;

    public static void DbSize(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = Shards(context);
        if (shards.IsEmpty)
            return;
        GatheredReply sum = new SummedReply(context.Session.AwaitReply(), shards.Length);
        SendToAll(context, shards, context.DatabaseIndex, writes: false, sum);
    }

    public static void Keys(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = Shards(context);
        if (shards.IsEmpty)
            return;
        GatheredReply all = new Elements(context.Session.AwaitReply(), shards.Length);
        SendToAll(context, shards, context.DatabaseIndex, writes: false, all);
    }

    public static void FlushDb(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = Shards(context);
        if (shards.IsEmpty || !FlushCommands.AcceptsMode(context))
            return;
        GatheredReply all = new AllOk(context.Session.AwaitReply(), shards.Length);
        SendToAll(context, shards, context.DatabaseIndex, writes: true, all);
    }

    public static void FlushAll(CommandContext context)
    {
        if (!FlushCommands.AcceptsMode(context))
            return;
        int parts = 0;
        for (int i = 0; i < context.Node.DatabaseCount; i++)
            parts += context.Server.Router!.Router.ShardsOf(i).Length;
        if (parts == 0)
        {
            context.Reply.Error(Dropped);
            return;
        }

        GatheredReply all = new AllOk(context.Session.AwaitReply(), parts);
        BytesBuffer request = new(32);
        RequestText.Begin(request, 1);
        RequestText.Argument(request, "flushdb"u8);
        for (int i = 0; i < context.Node.DatabaseCount; i++)
        {
            foreach (GroupId shard in context.Server.Router!.Router.ShardsOf(i))
                ShardRequest.Send(context, shard, i, request.WrittenSpan, writes: true, all);
        }
    }

    /// <summary>A random shard's random key; the next shard's where it has none.</summary>
    public static void RandomKey(CommandContext context)
    {
        GroupId[] shards = Shards(context).ToArray();
        if (shards.Length == 0)
            return;
        new AnyKey(context, shards, Random.Shared.Next(shards.Length), context.Session.AwaitReply()).Ask();
    }

    /// <summary>
    /// Walks shard after shard. A cursor is that of the shard, times the count of shards, plus the shard's index: a walk
    /// goes on at the right place whichever node it is continued at.
    /// </summary>
    public static void Scan(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = Shards(context);
        if (shards.IsEmpty)
            return;
        if (!ScanCommands.TryParseCursor(context.Argument(1), out ulong cursor))
        {
            context.Reply.Error("ERR invalid cursor");
            return;
        }

        int shard = (int)(cursor % (ulong)shards.Length);
        BytesBuffer request = new(128);
        RequestText.Begin(request, context.ArgumentCount);
        RequestText.Argument(request, context.Argument(0));
        RequestText.Argument(request, Encoding.ASCII.GetBytes((cursor / (ulong)shards.Length).ToString(CultureInfo.InvariantCulture)));
        for (int i = 2; i < context.ArgumentCount; i++)
            RequestText.Argument(request, context.Argument(i));
        ScanStep step = new(context.Session.AwaitReply(), shard, shards.Length);
        ShardRequest.Send(context, shards[shard], context.DatabaseIndex, request.WrittenSpan, writes: false, step);
    }

    /// <summary>CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: the slot's shard knows.</summary>
    public static void AskSlot(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = Shards(context);
        if (shards.IsEmpty)
            return;
        if (!RespRequestParser.TryNumber(context.Argument(2), out long slot) || slot is < 0 or >= Slot.Count)
        {
            context.Reply.Error("ERR Invalid slot");
            return;
        }

        BytesBuffer request = new(64);
        ShardRequest.Copy(context, request);
        GroupId shard = shards[(int)slot & (shards.Length - 1)];
        ShardRequest.Send(context, shard, context.DatabaseIndex, request.WrittenSpan, writes: false, context.Session.AwaitReply());
    }

    private static ReadOnlySpan<GroupId> Shards(CommandContext context)
    {
        ReadOnlySpan<GroupId> shards = context.Server.Router!.Router.ShardsOf(context.DatabaseIndex);
        if (shards.IsEmpty)
            context.Reply.Error(Dropped);
        return shards;
    }

    private static void SendToAll(CommandContext context, ReadOnlySpan<GroupId> shards, int database, bool writes, GatheredReply reply)
    {
        BytesBuffer request = new(64);
        ShardRequest.Copy(context, request);
        foreach (GroupId shard in shards)
            ShardRequest.Send(context, shard, database, request.WrittenSpan, writes, reply);
    }

    private sealed class SummedReply(IReplySink? reply, int parts) : GatheredReply(reply, parts)
    {
        private long _sum;

        protected override void Add(ReadOnlySpan<byte> part)
        {
            RespReplyReader reader = new(part);
            reader.TryRead();
            if (RespRequestParser.TryNumber(reader.Text, out long number))
                _sum += number;
        }

        protected override void Compose(BytesBuffer whole) => new RespWriter(whole).Integer(_sum);
    }

    private sealed class AllOk(IReplySink? reply, int parts) : GatheredReply(reply, parts)
    {
        protected override void Add(ReadOnlySpan<byte> part)
        {
        }

        protected override void Compose(BytesBuffer whole) => whole.Append("+OK\r\n"u8);
    }

    private sealed class Elements(IReplySink? reply, int parts) : GatheredReply(reply, parts)
    {
        private readonly BytesBuffer _elements = new(256);
        private long _count;

        protected override void Add(ReadOnlySpan<byte> part)
        {
            RespReplyReader reader = new(part);
            reader.TryRead();
            _count += reader.Count;
            _elements.Append(part[reader.Consumed..]);
        }

        protected override void Compose(BytesBuffer whole)
        {
            new RespWriter(whole).ArrayHeader(checked((int)_count));
            whole.Append(_elements.WrittenSpan);
        }
    }

    private sealed class AnyKey(CommandContext context, GroupId[] shards, int first, IReplySink? reply) : IReplySink
    {
        // The context is another command's by the time of the second question.
        private readonly IForwarder _forwarder = context.Server.Router!.Forwarder;
        private readonly int _database = context.DatabaseIndex;
        private readonly int _protocol = context.Reply.Protocol;
        private int _asked;

        public void Ask()
        {
            BytesBuffer request = new(32);
            RequestText.Begin(request, 1);
            RequestText.Argument(request, "randomkey"u8);
            _forwarder.Send(new ForwardedRequest
            {
                Group = shards[(first + _asked++) % shards.Length],
                Database = _database,
                Leader = default,
                Protocol = _protocol,
                Bytes = request.WrittenSpan,
                Sink = this,
            });
        }

        public void Replied(ReadOnlySpan<byte> part)
        {
            bool isNone = part.SequenceEqual("$-1\r\n"u8) || part.SequenceEqual("_\r\n"u8);
            if (isNone && _asked < shards.Length)
                Ask();
            else
                reply?.Replied(part);
        }
    }

    private sealed class ScanStep(IReplySink? reply, int shard, int shards) : IReplySink
    {
        public void Replied(ReadOnlySpan<byte> part)
        {
            RespReplyReader reader = new(part);
            reader.TryRead();
            if (reader.Kind != RespReplyKind.Array || !reader.TryRead() || !ScanCommands.TryParseCursor(reader.Text, out ulong inner))
            {
                reply?.Replied(part);
                return;
            }

            ulong next = inner != 0 ? (inner * (ulong)shards) + (ulong)shard : shard + 1 < shards ? (ulong)shard + 1 : 0;
            BytesBuffer whole = new(part.Length + 32);
            RespWriter writer = new(whole);
            writer.ArrayHeader(2);
            writer.BulkString(next.ToString(CultureInfo.InvariantCulture));
            whole.Append(part[reader.Consumed..]);
            reply?.Replied(whole.WrittenSpan);
        }
    }
}
