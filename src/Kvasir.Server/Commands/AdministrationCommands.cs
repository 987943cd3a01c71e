using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>KEYSPACE, NODE, LEADER and STATUS: a cluster's own commands, which any node of it takes; KEYSPACE of a node that is alone, too.</summary>
internal static class AdministrationCommands
{
    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "keyspace", Arity = -2, Flags = CommandFlags.None, Group = "cluster",
            Subcommands =
            [
                ConversionCommand.Definition,
                OfKeyspace("create", -3, CommandFlags.Admin | CommandFlags.NoMulti, Create),
                OfKeyspace("drop", 3, CommandFlags.Admin | CommandFlags.NoMulti, Drop),
                OfKeyspace("list", 2, CommandFlags.None, List),
                OfKeyspace("show", 3, CommandFlags.None, Show),
                Help(
                    "CONVERT <name> engine <engine> | CONVERT <name> STATUS | CONVERT <name> ABORT",
                    "    Move a keyspace to another engine while it is served, say how far that is, or end it before its time.",
                    "CREATE <name> [engine lsm|log|btree] [partitioning static] [shards <n>] [replication raft] [replicas <n>] [durability sync] [conflicts none]",
                    "    Make a keyspace. Shards: a power of two, 4 unless told. Replicas: an odd number, 3 unless told.",
                    "    A server that is alone has one shard and one copy, and durability sync|interval|none.",
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
                Sub("drain", 3, CommandFlags.Admin, Drain),
                Sub("list", 2, CommandFlags.None, static c => StatusPage.WriteNodes(c.Reply, c.Node.Clustered!.Topology)),
                Help(
                    "DECOMMISSION <node>",
                    "    Move all copies off a node, for good.",
                    "DRAIN <node>",
                    "    Have a node hand over what it leads, before a stop that is planned. It keeps its copies, and a start takes it back.",
                    "    The answer names the shards that have no other copy.",
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

    private static CommandDefinition OfKeyspace(string name, int arity, CommandFlags flags, CommandHandler handler) => new()
    {
        Name = name,
        Arity = arity,
        Flags = flags,
        Handler = handler,
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
        if (context.Node.Alone is { } alone)
        {
            KeyspaceRequest defaults = new() { Name = "", Shards = 1, Replicas = 1, Durability = context.Node.Durability.ToString().ToLowerInvariant() };
            Answer(context, KeyspaceRequest.TryParse(Text(context, 2), words, out KeyspaceRequest? own, out string? why, defaults) ? alone.CreateKeyspace(own) : why);
            return;
        }

        if (KeyspaceRequest.TryParse(Text(context, 2), words, out KeyspaceRequest? request, out string? refusal))
            Administration(context).CreateKeyspace(request, Later(context));
        else
            context.Reply.Error("ERR " + refusal);
    }

    private static void Drop(CommandContext context)
    {
        if (context.Node.Alone is not { } alone)
        {
            Administration(context).DropKeyspace(Text(context, 2), Later(context));
            return;
        }

        string? refusal = alone.DropKeyspace(Text(context, 2), out int database);
        if (database >= 0 && context.Node.ReplicasOf(database).IsEmpty)
        {
            // Whoever watches its keys, or has them cached, hears of it as of FLUSHDB.
            context.Server.Events.Flushed(database);
            foreach (RespSession session in context.Server.Clients.All)
                session.IsDatabaseGone |= session.DatabaseIndex == database;
        }

        Answer(context, refusal);
    }

    private static void Answer(CommandContext context, string? refusal)
    {
        if (refusal is null)
            context.Reply.Ok();
        else
            context.Reply.Error("ERR " + refusal);
    }

    private static IReadOnlyList<KeyspaceDescription> Keyspaces(CommandContext context) =>
        context.Node.Alone?.Keyspaces ?? context.Node.Clustered!.Topology.Keyspaces;

    private static void List(CommandContext context)
    {
        IReadOnlyList<KeyspaceDescription> keyspaces = Keyspaces(context);
        context.Reply.ArrayHeader(keyspaces.Count);
        foreach (KeyspaceDescription keyspace in keyspaces)
            StatusPage.Write(context.Reply, keyspace);
    }

    private static void Show(CommandContext context)
    {
        string name = Text(context, 2);
        KeyspaceDescription? keyspace = Keyspaces(context).FirstOrDefault(k => k.Name == name);
        if (keyspace is null)
            context.Reply.Error(KeyspaceName.Unknown);
        else
            StatusPage.Write(context.Reply, keyspace);
    }

    private static void Drain(CommandContext context)
    {
        IClusterTopology topology = context.Node.Clustered!.Topology;
        ChangeNode(context, static (a, id, done) => a.Drain(id, done), id => LoneCopies.Warning(topology, id) is { } warning ? "OK, but " + warning : "OK");
    }

    private static void ChangeNode(
        CommandContext context, Action<IClusterAdministration, NodeId, Action<string?>> change, Func<NodeId, string>? answer = null)
    {
        if (ulong.TryParse(Text(context, 2), NumberStyles.None, CultureInfo.InvariantCulture, out ulong id) && id != 0)
            change(Administration(context), new NodeId(id), Later(context, answer is null ? null : () => answer(new NodeId(id))));
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

    /// <summary>Makes a place for the answer, and gives what fills it; OK, or what is said inside the mailbox when it is done.</summary>
    public static Action<string?> Later(CommandContext context, Func<string>? answer = null)
    {
        ReplicaMailbox mailbox = context.Node.Mailbox;
        PendingReply? reply = context.Session.AwaitReply();
        return error =>
        {
            if (reply is not null)
                mailbox.Post(new OutcomeAnswer(reply, error, answer));
        };
    }

    private static IClusterAdministration Administration(CommandContext context) => context.Node.Clustered!.Administration;

    private static string Text(CommandContext context, int argument) => Encoding.UTF8.GetString(context.Argument(argument));

    private static int? Count(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;

    private sealed class OutcomeAnswer(PendingReply reply, string? error, Func<string>? answer) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            RespWriter writer = new(new Primitives.BytesBuffer(64));
            if (error is not null)
                writer.Error(error);
            else if (answer is not null)
                writer.SimpleString(Encoding.UTF8.GetBytes(answer()));
            else
                writer.Ok();
            reply.Replied(writer.Buffer.WrittenSpan);
            reply.Session.Server.WakeNow();
        }
    }
}
