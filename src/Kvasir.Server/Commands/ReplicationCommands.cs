using System.Text;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>REPLICAOF, REPLCONF, SYNC and their like, as a master without replicas: Redis's replication stream is not spoken.</summary>
internal static class ReplicationCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript;

    public static IEnumerable<CommandDefinition> All =>
    [
        Row("failover", -1, Administrating | CommandFlags.Stale, FailOver),
        Row("psync", -3, Administrating | CommandFlags.NoAsyncLoading | CommandFlags.NoMulti, Refuse),
        Row("replconf", -1, Administrating | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.AllowBusy, Configure),
        Row("replicaof", 3, Administrating | CommandFlags.Stale | CommandFlags.NoAsyncLoading, ReplicaOf),
        Row("role", 1, CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Role, ["admin", "dangerous"]),
        Row("slaveof", 3, Administrating | CommandFlags.Stale | CommandFlags.NoAsyncLoading, ReplicaOf),
        Row("sync", 1, Administrating | CommandFlags.NoAsyncLoading | CommandFlags.NoMulti, Refuse),
    ];

    private static CommandDefinition Row(string name, int arity, CommandFlags flags, CommandHandler handler, string[]? categories = null) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server", Categories = categories ?? [] };

    private static void Refuse(CommandContext context) => context.Reply.Error(
        "ERR this server does not send Redis's replication stream; BGSAVE makes a checkpoint, and DUMP tells single values");

    /// <summary>There is no replica to hand over to, and so nothing under way; what is wrong with a request is told first.</summary>
    private static void FailOver(CommandContext context)
    {
        if (context.ArgumentCount == 2 && Ascii.EqualsIgnoreCase(context.Argument(1), "abort"u8))
        {
            context.Reply.Error("ERR No failover in progress.");
            return;
        }

        long timeoutMs = 0;
        bool hasTarget = false;
        bool forced = false;
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            int rest = context.ArgumentCount - i - 1;
            if (rest >= 1 && timeoutMs == 0 && Ascii.EqualsIgnoreCase(option, "timeout"u8))
            {
                if (!NumberText.TryArgument(context, ++i, out timeoutMs))
                    return;
                if (timeoutMs <= 0)
                {
                    context.Reply.Error("ERR FAILOVER timeout must be greater than 0");
                    return;
                }
            }
            else if (rest >= 2 && !hasTarget && Ascii.EqualsIgnoreCase(option, "to"u8))
            {
                i += 2;
                if (!NumberText.TryArgument(context, i, out _))
                    return;
                hasTarget = true;
            }
            else if (!forced && Ascii.EqualsIgnoreCase(option, "force"u8))
            {
                forced = true;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        context.Reply.Error("ERR FAILOVER requires connected replicas.");
    }

    private static void Configure(CommandContext context)
    {
        if (context.ArgumentCount % 2 == 0)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        for (int i = 1; i < context.ArgumentCount; i += 2)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            if (Ascii.EqualsIgnoreCase(option, "listening-port"u8))
            {
                if (!NumberText.TryArgument(context, i + 1, out _))
                    return;
            }
            else if (Ascii.EqualsIgnoreCase(option, "ack"u8) || Ascii.EqualsIgnoreCase(option, "getack"u8))
            {
                // Of a replica to its master and back; neither is here, and these are never answered.
                return;
            }
            else if (!Ascii.EqualsIgnoreCase(option, "ip-address"u8) && !Ascii.EqualsIgnoreCase(option, "capa"u8)
                && !Ascii.EqualsIgnoreCase(option, "rdb-only"u8) && !Ascii.EqualsIgnoreCase(option, "rdb-filter-only"u8))
            {
                context.Reply.ErrorAbout("ERR Unrecognized REPLCONF option: "u8, option, default, max: int.MaxValue);
                return;
            }
        }

        context.Reply.Ok();
    }

    private static void Role(CommandContext context)
    {
        context.Reply.ArrayHeader(3);
        context.Reply.BulkString("master"u8);
        context.Reply.Integer(0);
        context.Reply.ArrayHeader(0);
    }

    private static void ReplicaOf(CommandContext context)
    {
        if (Ascii.EqualsIgnoreCase(context.Argument(1), "no"u8) && Ascii.EqualsIgnoreCase(context.Argument(2), "one"u8))
            context.Reply.Ok();
        else if (!NumberText.TryParseInt64(context.Argument(2), out long port) || port is < 0 or > 65535)
            context.Reply.Error("ERR Invalid master port");
        else
            context.Reply.Error("ERR this server does not replicate from others; a Kvasir cluster copies by itself");
    }
}
