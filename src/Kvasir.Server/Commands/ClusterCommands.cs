using Kvasir.Server.Commands.Generic;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>
/// CLUSTER and its like: what a client that knows Redis Cluster asks to find the nodes by itself. Outside of a cluster they are
/// answered as by a Redis server outside of one; what changes a Redis cluster is refused in one of ours.
/// </summary>
internal static class ClusterCommands
{
    /// <summary>Of READONLY without a bound.</summary>
    private const long StaleMaxMs = 1000;

    private const CommandFlags Asking = CommandFlags.Stale;
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.Stale;
    private const CommandFlags Changing = Administrating | CommandFlags.NoAsyncLoading;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "cluster", Arity = -2, Flags = CommandFlags.None, Group = "cluster",
            Subcommands =
            [
                Sub("addslots", -3, Changing),
                Sub("addslotsrange", -4, Changing),
                Sub("bumpepoch", 2, Changing),
                Sub("count-failure-reports", 3, Administrating),
                Sub("countkeysinslot", 3, Asking, ClusterSlots.CountKeysInSlot, ShardCommands.AskSlot),
                Sub("delslots", -3, Changing),
                Sub("delslotsrange", -4, Changing),
                Sub("failover", -2, Changing),
                Sub("flushslots", 2, Changing),
                Sub("forget", 3, Changing),
                Sub("getkeysinslot", 4, Asking, ClusterSlots.GetKeysInSlot, ShardCommands.AskSlot),
                Sub("info", 2, Asking, ClusterPages.Info),
                Sub("keyslot", 3, Asking, ClusterPages.KeySlotOf),
                Sub("links", 2, Asking),
                Sub("meet", -4, Changing),
                Sub("myid", 2, Asking, ClusterPages.MyId),
                Sub("nodes", 2, Asking, ClusterPages.Nodes),
                Sub("replicas", 3, Administrating),
                Sub("replicate", 3, Changing),
                Sub("reset", -2, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Stale),
                Sub("saveconfig", 2, Changing),
                Sub("set-config-epoch", 3, Changing),
                Sub("setslot", -4, Changing),
                Sub("shards", 2, Asking, ClusterPages.Shards),
                Sub("slaves", 3, Administrating),
                Sub("slots", 2, Asking, ClusterPages.Slots),
                new() { Name = "help", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale, Handler = c => Answer(c, Help), Group = "cluster" },
            ],
        },
        new() { Name = "asking", Arity = 1, Flags = CommandFlags.Fast, Handler = Accept, Group = "cluster", Categories = ["connection"] },
        new() { Name = "readonly", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = static c => Answer(c, ReadStale), Group = "cluster", Categories = ["connection"] },
        new() { Name = "readstale", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = static c => Answer(c, ReadStale), Group = "cluster", Categories = ["connection"] },
        new() { Name = "readwrite", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = static c => Answer(c, ReadCurrent), Group = "cluster", Categories = ["connection"] },
        new() { Name = "readage", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = static c => Answer(c, ReadAge), Group = "cluster", Categories = ["connection"] },
    ];

    private static CommandDefinition Sub(
        string name, int arity, CommandFlags flags, CommandHandler? inCluster = null, CommandHandler? overShards = null) => new()
        {
            Name = name,
            Arity = arity,
            Flags = flags,
            Handler = inCluster is null ? Refuse : c => Answer(c, inCluster),
            OverShards = overShards,
            Group = "cluster",
        };

    private static void Answer(CommandContext context, CommandHandler inCluster)
    {
        if (context.Server.Router is null)
            Refuse(context);
        else
            inCluster(context);
    }

    /// <summary>Of no consequence here: every node takes every command at any time.</summary>
    private static void Accept(CommandContext context)
    {
        if (context.Server.Router is null)
            Refuse(context);
        else
            context.Reply.Ok();
    }

    /// <summary>READONLY, as clients of Redis Cluster ask it of a replica, and READSTALE, with a bound in milliseconds.</summary>
    private static void ReadStale(CommandContext context)
    {
        long ageMaxMs = StaleMaxMs;
        if (context.ArgumentCount == 2
            && (!NumberText.TryParseInt64(context.Argument(1), out ageMaxMs) || ageMaxMs is < 1 or > 3_600_000))
        {
            context.Reply.Error("ERR the age is from 1 to 3600000 milliseconds");
            return;
        }

        context.Session.StaleMaxMs = ageMaxMs;
        context.Reply.Ok();
    }

    private static void ReadCurrent(CommandContext context)
    {
        context.Session.StaleMaxMs = 0;
        context.Reply.Ok();
    }

    /// <summary>How old the oldest read may have been since this was last asked; 0 when all were current.</summary>
    private static void ReadAge(CommandContext context)
    {
        context.Reply.Integer(context.Session.ReadAgeMs);
        context.Session.ReadAgeMs = 0;
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return key names stored in a slot.",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MYID",
        "    Return the node id.",
        "NODES",
        "    Return the nodes and the slots they lead.",
        "SHARDS",
        "    Return the slot ranges and who holds copies of them.",
        "SLOTS",
        "    Return the slot ranges, their leaders and followers.");

    private static void Refuse(CommandContext context) => context.Reply.Error(context.Server.Router is null
        ? "ERR This instance has cluster support disabled"
        : "ERR not possible here: the cluster does by itself what Redis Cluster is told to; see NODE, KEYSPACE and LEADER");
}
