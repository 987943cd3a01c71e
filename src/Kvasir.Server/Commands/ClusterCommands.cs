using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>CLUSTER and its like, as a Redis server outside of a Redis cluster answers them: clients ask to find out.</summary>
internal static class ClusterCommands
{
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
                Sub("countkeysinslot", 3, Asking),
                Sub("delslots", -3, Changing),
                Sub("delslotsrange", -4, Changing),
                Sub("failover", -2, Changing),
                Sub("flushslots", 2, Changing),
                Sub("forget", 3, Changing),
                Sub("getkeysinslot", 4, Asking),
                Sub("info", 2, Asking),
                Sub("keyslot", 3, Asking),
                Sub("links", 2, Asking),
                Sub("meet", -4, Changing),
                Sub("myid", 2, Asking),
                Sub("nodes", 2, Asking),
                Sub("replicas", 3, Administrating),
                Sub("replicate", 3, Changing),
                Sub("reset", -2, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Stale),
                Sub("saveconfig", 2, Changing),
                Sub("set-config-epoch", 3, Changing),
                Sub("setslot", -4, Changing),
                Sub("shards", 2, Asking),
                Sub("slaves", 3, Administrating),
                Sub("slots", 2, Asking),
                new() { Name = "help", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale, Handler = Refuse, Group = "cluster" },
            ],
        },
        new() { Name = "asking", Arity = 1, Flags = CommandFlags.Fast, Handler = Refuse, Group = "cluster", Categories = ["connection"] },
        new() { Name = "readonly", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = Refuse, Group = "cluster", Categories = ["connection"] },
        new() { Name = "readwrite", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = Refuse, Group = "cluster", Categories = ["connection"] },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = Refuse, Group = "cluster" };

    private static void Refuse(CommandContext context) => context.Reply.Error("ERR This instance has cluster support disabled");
}
