using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>CLUSTER and its like, as a Redis server outside of a Redis cluster answers them: clients ask to find out.</summary>
internal static class ClusterCommands
{
    private const CommandFlags Asking = CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "cluster", Arity = -2, Flags = CommandFlags.None, Group = "cluster", Summary = "A container for cluster commands", Since = "3.0.0", Complexity = "Depends on subcommand.",
            Subcommands =
            [
                Sub("countkeysinslot", 3, "Return the number of local keys in the specified hash slot"),
                Sub("getkeysinslot", 4, "Return local key names in the specified hash slot"),
                Sub("help", 2, "Show helpful text about the different subcommands"),
                Sub("info", 2, "Provides info about Redis Cluster node state"),
                Sub("keyslot", 3, "Returns the hash slot of the specified key"),
                Sub("links", 2, "Returns a list of all TCP links to and from peer nodes in cluster"),
                Sub("myid", 2, "Return the node id"),
                Sub("nodes", 2, "Get Cluster config for the node"),
                Sub("replicas", 3, "List replica nodes of the specified master node"),
                Sub("shards", 2, "Get array of cluster slots to node mappings"),
                Sub("slaves", 3, "List replica nodes of the specified master node"),
                Sub("slots", 2, "Get array of Cluster slot to node mappings"),
            ],
        },
        new() { Name = "asking", Arity = 1, Flags = CommandFlags.Fast, Handler = Refuse, Group = "connection", Summary = "Sent by cluster clients after an -ASK redirect", Since = "3.0.0" },
        new() { Name = "readonly", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = Refuse, Group = "connection", Summary = "Enables read queries for a connection to a cluster replica node", Since = "3.0.0" },
        new() { Name = "readwrite", Arity = 1, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = Refuse, Group = "connection", Summary = "Disables read queries for a connection to a cluster replica node", Since = "3.0.0" },
    ];

    private static CommandDefinition Sub(string name, int arity, string summary) =>
        new() { Name = name, Arity = arity, Flags = Asking, Handler = Refuse, Group = "cluster", Summary = summary, Since = "3.0.0" };

    private static void Refuse(CommandContext context) => context.Reply.Error("ERR This instance has cluster support disabled");
}
