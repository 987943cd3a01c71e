using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>KEYSPACE, NODE, LEADER and STATUS: a cluster's own commands. Any node takes them.</summary>
internal static class AdministrationCommands
{
    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "keyspace", Arity = -2, Flags = CommandFlags.None, Group = "cluster",
            Subcommands =
            [
                Sub("create", -3, CommandFlags.Admin, Create),
                Sub("drop", 3, CommandFlags.Admin, Drop),
                Sub("list", 2, CommandFlags.None, List),
                Sub("show", 3, CommandFlags.None, Show),
                Help(
                    "CREATE <name> [engine lsm|log|btree] [partitioning static] [shards <n>] [replication raft] [replicas <n>] [durability sync] [conflicts none]",
                    "    Make a keyspace. Shards: a power of two, 4 unless told. Replicas: an odd number, 3 unless told.",
                    "DROP <name>",
                    "    Drop a keyspace and everything in it.",
                    "LIST",
                    "    Return all keyspaces and their options.",
                    "SHOW <name>",
                    "    Return one keyspace and its options."),
            ],
        },
        new()
        {
            Name = "node", Arity = -2, Flags = CommandFlags.None, Group = "cluster",
            Subcommands =
            [
                Sub("decommission", 3, CommandFlags.Admin, c => ChangeNode(c, static (a, id, done) => a.Decommission(id, done))),
                Sub("drain", 3, CommandFlags.Admin, c => ChangeNode(c, static (a, id, done) => a.Drain(id, done))),
                Sub("list", 2, CommandFlags.None, static c => StatusPage.WriteNodes(c.Reply, c.Node.Clustered!.Topology)),
                Help(
                    "DECOMMISSION <node>",
                    "    Move all copies off a node, for good.",
                    "DRAIN <node>",
                    "    Have a node hand over what it leads, before a stop that is planned. A start takes it back.",
                    "LIST",
                    "    Return all nodes, their states, addresses and localities."),
            ],
        },
        new()
        {
            Name = "leader", Arity = -2, Flags = CommandFlags.None, Group = "cluster",
            Subcommands =
            [
                Sub("transfer", 5, CommandFlags.Admin, Transfer),
                Help("TRANSFER <keyspace> <shard> <node>", "    Have another node lead a shard."),
            ],
        },
        Sub("status", 1, CommandFlags.Stale | CommandFlags.Loading, StatusPage.Write),
    ];

    private static CommandDefinition Help(params string[] lines) => new()
    {
        Name = "help",
        Arity = 2,
        Flags = CommandFlags.Loading | CommandFlags.Stale,
        Handler = c => HelpTexts.Write(c, lines),
        Group = "cluster",
    };

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) => new()
    {
        Name = name,
        Arity = arity,
        Flags = flags,
        Handler = c => Run(c, handler),
        Group = "cluster",
    };

    private static void Run(CommandContext context, CommandHandler handler)
    {
        if (context.Node.Clustered is null)
            context.Reply.Error("ERR this server is not part of a cluster");
        else
            handler(context);
    }

    private static void Create(CommandContext context)
    {
        string[] words = [.. Enumerable.Range(3, context.ArgumentCount - 3).Select(i => Text(context, i))];
        if (KeyspaceRequest.TryParse(Text(context, 2), words, out KeyspaceRequest? request, out string? refusal))
            Administration(context).CreateKeyspace(request, Later(context));
        else
            context.Reply.Error("ERR " + refusal);
    }

    private static void Drop(CommandContext context) => Administration(context).DropKeyspace(Text(context, 2), Later(context));

    private static void List(CommandContext context)
    {
        IReadOnlyList<KeyspaceDescription> keyspaces = context.Node.Clustered!.Topology.Keyspaces;
        context.Reply.ArrayHeader(keyspaces.Count);
        foreach (KeyspaceDescription keyspace in keyspaces)
            StatusPage.Write(context.Reply, keyspace);
    }

    private static void Show(CommandContext context)
    {
        string name = Text(context, 2);
        KeyspaceDescription? keyspace = context.Node.Clustered!.Topology.Keyspaces.FirstOrDefault(k => k.Name == name);
        if (keyspace is null)
            context.Reply.Error("ERR there is no such keyspace");
        else
            StatusPage.Write(context.Reply, keyspace);
    }

    private static void ChangeNode(CommandContext context, Action<IClusterAdministration, NodeId, Action<string?>> change)
    {
        if (ulong.TryParse(Text(context, 2), NumberStyles.None, CultureInfo.InvariantCulture, out ulong id) && id != 0)
            change(Administration(context), new NodeId(id), Later(context));
        else
            context.Reply.Error("ERR a node is named by its number: see NODE LIST");
    }

    private static void Transfer(CommandContext context)
    {
        if (Count(Text(context, 3)) is not { } shard
            || !ulong.TryParse(Text(context, 4), NumberStyles.None, CultureInfo.InvariantCulture, out ulong id) || id == 0)
        {
            context.Reply.Error("ERR LEADER TRANSFER keyspace shard node");
            return;
        }

        Administration(context).TransferLeader(Text(context, 2), shard, new NodeId(id), Later(context));
    }

    /// <summary>Makes a place for the answer, and gives what fills it.</summary>
    private static Action<string?> Later(CommandContext context)
    {
        ReplicaMailbox mailbox = context.Node.Mailbox;
        PendingReply? reply = context.Session.AwaitReply();
        return error =>
        {
            if (reply is not null)
                mailbox.Post(new OutcomeAnswer(reply, error));
        };
    }

    private static IClusterAdministration Administration(CommandContext context) => context.Node.Clustered!.Administration;

    private static string Text(CommandContext context, int argument) => Encoding.UTF8.GetString(context.Argument(argument));

    private static int? Count(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;

    private sealed class OutcomeAnswer(PendingReply reply, string? error) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            RespWriter writer = new(new Primitives.BytesBuffer(64));
            if (error is null)
                writer.Ok();
            else
                writer.Error(error);
            reply.Replied(writer.Buffer.WrittenSpan);
            reply.Session.Server.WakeNow();
        }
    }
}
