using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>SUBSCRIBE and its family, PUBLISH, PUBSUB.</summary>
internal static class PubSubCommands
{
    private const CommandFlags Listening = CommandFlags.PubSub | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;
    private const CommandFlags Asking = CommandFlags.PubSub | CommandFlags.Loading | CommandFlags.Stale;
    private const CommandFlags Sending = CommandFlags.PubSub | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.MayReplicate;

    public static IEnumerable<CommandDefinition> All =>
    [
        new() { Name = "subscribe", Arity = -2, Flags = Listening, Handler = static c => Subscribe(c, Topic.Channel), Group = "pubsub" },
        new() { Name = "unsubscribe", Arity = -1, Flags = Listening, Handler = static c => Unsubscribe(c, Topic.Channel), Group = "pubsub" },
        new() { Name = "psubscribe", Arity = -2, Flags = Listening, Handler = static c => Subscribe(c, Topic.Pattern), Group = "pubsub" },
        new() { Name = "punsubscribe", Arity = -1, Flags = Listening, Handler = static c => Unsubscribe(c, Topic.Pattern), Group = "pubsub" },
        new() { Name = "ssubscribe", Arity = -2, Flags = Listening, Handler = static c => Subscribe(c, Topic.Shard), FirstKey = 1, LastKey = -1, KeyStep = 1, Group = "pubsub" },
        new() { Name = "sunsubscribe", Arity = -1, Flags = Listening, Handler = static c => Unsubscribe(c, Topic.Shard), FirstKey = 1, LastKey = -1, KeyStep = 1, Group = "pubsub" },
        new() { Name = "publish", Arity = 3, Flags = Sending, Handler = Publish, Group = "pubsub" },
        new() { Name = "spublish", Arity = 3, Flags = Sending, Handler = PublishShard, FirstKey = 1, LastKey = 1, KeyStep = 1, Group = "pubsub" },
        new()
        {
            Name = "pubsub", Arity = -2, Flags = CommandFlags.None, Group = "pubsub",
            Subcommands =
            [
                new() { Name = "channels", Arity = -2, Flags = Asking, Handler = static c => ListChannels(c, c.Server.PubSub.Channels), Group = "pubsub" },
                new() { Name = "shardchannels", Arity = -2, Flags = Asking, Handler = static c => ListChannels(c, c.Server.PubSub.ShardChannels), Group = "pubsub" },
                new() { Name = "numsub", Arity = -2, Flags = Asking, Handler = static c => CountListeners(c, c.Server.PubSub.Channels), Group = "pubsub" },
                new() { Name = "shardnumsub", Arity = -2, Flags = Asking, Handler = static c => CountListeners(c, c.Server.PubSub.ShardChannels), Group = "pubsub" },
                new() { Name = "numpat", Arity = 2, Flags = Asking, Handler = static c => c.Reply.Integer(c.Server.PubSub.Patterns.Count), Group = "pubsub" },
                new() { Name = "help", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale, Handler = Help, Group = "pubsub" },
            ],
        },
    ];

    private enum Topic
    {
        Channel,
        Pattern,
        Shard,
    }

    private static void Subscribe(CommandContext context, Topic topic)
    {
        RespSession session = context.Session;
        if (session.Transaction.IsExecuting && topic == Topic.Shard)
        {
            context.Reply.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
            return;
        }

        (Dictionary<byte[], List<RespSession>> topics, HashSet<byte[]> own) = Lists(context, topic);
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            PubSubRegistry.Add(topics, own, context.Argument(i), session);
            Confirm(context, Word(topic, adding: true), context.Argument(i), isNull: false, topic);
        }
    }

    private static void Unsubscribe(CommandContext context, Topic topic)
    {
        (Dictionary<byte[], List<RespSession>> topics, HashSet<byte[]> own) = Lists(context, topic);
        ReadOnlySpan<byte> word = Word(topic, adding: false);
        if (context.ArgumentCount > 1)
        {
            for (int i = 1; i < context.ArgumentCount; i++)
            {
                PubSubRegistry.Remove(topics, own, context.Argument(i), context.Session);
                Confirm(context, word, context.Argument(i), isNull: false, topic);
            }

            return;
        }

        if (own.Count == 0)
        {
            Confirm(context, word, default, isNull: true, topic);
            return;
        }

        foreach (byte[] name in own.ToArray())
        {
            PubSubRegistry.Remove(topics, own, name, context.Session);
            Confirm(context, word, name, isNull: false, topic);
        }
    }

    private static (Dictionary<byte[], List<RespSession>> Topics, HashSet<byte[]> Own) Lists(CommandContext context, Topic topic)
    {
        PubSubRegistry registry = context.Server.PubSub;
        SessionSubscriptions own = context.Session.Subscriptions;
        return topic switch
        {
            Topic.Channel => (registry.Channels, own.Channels),
            Topic.Pattern => (registry.Patterns, own.Patterns),
            _ => (registry.ShardChannels, own.ShardChannels),
        };
    }

    private static ReadOnlySpan<byte> Word(Topic topic, bool adding) => topic switch
    {
        Topic.Channel => adding ? "subscribe"u8 : "unsubscribe"u8,
        Topic.Pattern => adding ? "psubscribe"u8 : "punsubscribe"u8,
        _ => adding ? "ssubscribe"u8 : "sunsubscribe"u8,
    };

    private static void Confirm(CommandContext context, ReadOnlySpan<byte> word, ReadOnlySpan<byte> name, bool isNull, Topic topic)
    {
        RespWriter reply = context.Reply;
        reply.PushHeader(3);
        reply.BulkString(word);
        if (isNull)
            reply.Null();
        else
            reply.BulkString(name);
        SessionSubscriptions own = context.Session.Subscriptions;
        reply.Integer(topic == Topic.Shard ? own.ShardChannels.Count : own.Count);
    }

    /// <summary>In a cluster, as Redis Cluster does: every node's subscribers hear it, and this node's are counted.</summary>
    private static void Publish(CommandContext context)
    {
        context.Server.Router?.Forwarder.Broadcast(context.Argument(1), context.Argument(2), ofShard: false);
        context.Reply.Integer(context.Server.PubSub.Publish(context.Argument(1), context.Argument(2), context.Session));
    }

    private static void PublishShard(CommandContext context)
    {
        context.Server.Router?.Forwarder.Broadcast(context.Argument(1), context.Argument(2), ofShard: true);
        context.Reply.Integer(context.Server.PubSub.PublishShard(context.Argument(1), context.Argument(2), context.Session));
    }

    private static void ListChannels(CommandContext context, Dictionary<byte[], List<RespSession>> topics)
    {
        if (context.ArgumentCount > 3)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        List<byte[]> names = [];
        foreach (byte[] name in topics.Keys)
        {
            if (context.ArgumentCount == 2 || GlobPattern.Matches(context.Argument(2), name))
                names.Add(name);
        }

        context.Reply.ArrayHeader(names.Count);
        foreach (byte[] name in names)
            context.Reply.BulkString(name);
    }

    private static void CountListeners(CommandContext context, Dictionary<byte[], List<RespSession>> topics)
    {
        context.Reply.ArrayHeader((context.ArgumentCount - 2) * 2);
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            context.Reply.BulkString(context.Argument(i));
            context.Reply.Integer(topics.TryGetValue(context.Argument(i).ToArray(), out List<RespSession>? listeners) ? listeners.Count : 0);
        }
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)");
}
