using System.Text;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>INFO, TIME, SAVE and its like, MONITOR, WAIT, SHUTDOWN, LOLWUT.</summary>
internal static class ServerCommands
{
    private const CommandFlags Answering = CommandFlags.Loading | CommandFlags.Stale;
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        Row("info", -1, Answering, Info, categories: ["dangerous"]),
        Row("time", 1, Answering | CommandFlags.Fast, Time),
        Row("lastsave", 1, Answering | CommandFlags.Fast, static c => c.Reply.Integer(LastSave(c)), categories: ["admin", "dangerous"]),
        Row("save", 1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading | CommandFlags.NoMulti, Save),
        Row("bgsave", -1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading, BackgroundSave),
        Row("bgrewriteaof", 1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading, RewriteLog),
        Row("monitor", 1, Administrating, Monitor),
        Row("wait", 3, CommandFlags.NoScript, Wait, "generic", ["connection"]),
        Row("shutdown", -1, CommandFlags.Admin | CommandFlags.NoScript | Answering | CommandFlags.NoMulti | CommandFlags.AllowBusy, Shutdown),
        Row("lolwut", -1, CommandFlags.ReadOnly | CommandFlags.Fast, LolWut),
    ];

    private static CommandDefinition Row(
        string name, int arity, CommandFlags flags, CommandHandler handler, string group = "server", string[]? categories = null) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = group, Categories = categories ?? [], OwnCategoriesOnly = categories is not null };

    private static void Info(CommandContext context)
    {
        HashSet<string> wanted = new(StringComparer.Ordinal);
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            string section = Encoding.ASCII.GetString(context.Argument(i)).ToLowerInvariant();
            wanted.UnionWith(section switch
            {
                "default" => InfoPage.DefaultSections,
                "all" or "everything" => InfoPage.AllSections,
                _ => [section],
            });
        }

        if (context.ArgumentCount == 1)
            wanted.UnionWith(InfoPage.DefaultSections);
        context.Reply.Verbatim(new InfoPage(context.Server, context.Execution).Write(wanted));
    }

    private static void LolWut(CommandContext context)
    {
        if (context.ArgumentCount >= 3 && Ascii.EqualsIgnoreCase(context.Argument(1), "version"u8) && !NumberText.TryArgument(context, 2, out _))
            return;
        context.Reply.Verbatim("Redis ver. " + ServerIdentity.RedisVersion + "\n");
    }

    private static void Time(CommandContext context)
    {
        long now = context.Server.Clock.NowMicroseconds;
        context.Reply.ArrayHeader(2);
        context.Reply.BulkInteger(now / 1_000_000);
        context.Reply.BulkInteger(now % 1_000_000);
    }

    private static long LastSave(CommandContext context) =>
        context.Server.Snapshotter?.LastSaveSeconds ?? context.Server.Clock.StartedAt.ToUnixTimeSeconds();

    private static void Save(CommandContext context)
    {
        if (IsRefused(context))
            return;
        if (context.Server.Snapshotter is not { } snapshotter)
        {
            context.Reply.Ok();
            return;
        }

        if (!snapshotter.TryBegin())
        {
            context.Reply.Error("ERR Background save already in progress");
            return;
        }

        context.Server.ChangesAtSave = context.Server.Events.Changes;
        context.Session.Suspended = new SavingSuspension(snapshotter);
    }

    /// <summary>The journal is cut as it is flushed: there is nothing to rewrite.</summary>
    private static void RewriteLog(CommandContext context) => context.Reply.SimpleString(context.Session.Transaction.IsExecuting
        ? "Background append only file rewriting scheduled"u8
        : "Background append only file rewriting started"u8);

    private static bool IsRefused(CommandContext context)
    {
        if (context.Node.Alone is not null)
            return false;
        context.Reply.Error($"ERR {context.Command.Name.ToUpperInvariant()} is not possible in a cluster: no node has all of its data");
        return true;
    }

    private static void BackgroundSave(CommandContext context)
    {
        if (IsRefused(context))
            return;
        bool scheduled = context.ArgumentCount == 2 && Ascii.EqualsIgnoreCase(context.Argument(1), "schedule"u8);
        if (context.ArgumentCount > 1 && !scheduled)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        if (context.Session.Transaction.IsExecuting)
        {
            // What the block wrote belongs to the save, and is not committed yet.
            context.Server.SaveIsScheduled = true;
            context.Reply.SimpleString("Background saving scheduled"u8);
            return;
        }

        if (context.Server.Snapshotter is { } snapshotter && !snapshotter.TryBegin())
        {
            if (scheduled)
                context.Reply.SimpleString("Background saving scheduled"u8);
            else
                context.Reply.Error("ERR Background save already in progress");
            return;
        }

        context.Server.ChangesAtSave = context.Server.Events.Changes;
        context.Reply.SimpleString("Background saving started"u8);
    }

    private static void Monitor(CommandContext context)
    {
        if (context.Session.Transaction.IsExecuting)
        {
            context.Reply.Error("ERR MONITOR isn't allowed for DENY BLOCKING client");
            return;
        }

        if (!context.Session.Client.IsMonitor)
        {
            context.Session.Client.IsMonitor = true;
            context.Server.Monitors.Add(context.Session);
        }

        context.Reply.Ok();
    }

    private static void Wait(CommandContext context)
    {
        if (!RespRequestParser.TryNumber(context.Argument(1), out long replicas))
        {
            context.Reply.Error("ERR value is not an integer or out of range");
            return;
        }

        if (!RespRequestParser.TryNumber(context.Argument(2), out long milliseconds))
        {
            context.Reply.Error("ERR timeout is not an integer or out of range");
            return;
        }

        if (milliseconds < 0)
        {
            context.Reply.Error("ERR timeout is negative");
            return;
        }

        // No replica will ever acknowledge: zero is the answer, after the time that was asked for.
        if (replicas <= 0 || context.Session.Transaction.IsExecuting)
        {
            context.Reply.Integer(0);
            return;
        }

        long deadline = milliseconds == 0 ? long.MaxValue : context.NowMs + Math.Min(milliseconds, long.MaxValue / 2);
        context.Session.Suspended = new BlockedSuspension(deadline, static c => c.Reply.Integer(0));
    }

    private static void Shutdown(CommandContext context)
    {
        bool abort = false;
        bool save = false;
        bool noSave = false;
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            if (Ascii.EqualsIgnoreCase(option, "nosave"u8) && !save)
                noSave = true;
            else if (Ascii.EqualsIgnoreCase(option, "save"u8) && !noSave)
                save = true;
            else if (Ascii.EqualsIgnoreCase(option, "abort"u8))
                abort = true;
            else if (!Ascii.EqualsIgnoreCase(option, "now"u8) && !Ascii.EqualsIgnoreCase(option, "force"u8))
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        if (abort)
        {
            context.Reply.Error(context.ArgumentCount > 2 ? "ERR syntax error" : "ERR No shutdown in progress.");
            return;
        }

        if (context.Server.Shutdown is not { } shutdown)
        {
            context.Reply.Error("ERR Errors trying to SHUTDOWN. Check logs.");
            return;
        }

        // As from Redis: no reply, the connection ends with the server.
        context.Session.ClosesAfterReplies = true;
        shutdown.Request();
    }
}
