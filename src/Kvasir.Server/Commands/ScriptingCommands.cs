using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>SCRIPT and FUNCTION as a server without a script answers them.</summary>
internal static class ScriptingCommands
{
    private const CommandFlags Scripting = CommandFlags.NoScript;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "script", Arity = -2, Flags = CommandFlags.None, Group = "scripting", Summary = "A container for Lua scripts management commands", Since = "2.6.0", Complexity = "Depends on subcommand.",
            Subcommands =
            [
                Sub("flush", -2, Scripting, Flush, "Remove all the scripts from the script cache."),
                Sub("exists", -3, Scripting, Exists, "Check existence of scripts in the script cache."),
                Sub("kill", 2, Scripting | CommandFlags.AllowBusy, static c => c.Reply.Error("NOTBUSY No scripts in execution right now."), "Kill the script currently in execution."),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, ScriptHelp, "Show helpful text about the different subcommands"),
            ],
        },
        new()
        {
            Name = "function", Arity = -2, Flags = CommandFlags.None, Group = "scripting", Summary = "A container for function commands", Since = "7.0.0", Complexity = "Depends on subcommand.",
            Subcommands =
            [
                Sub("flush", -2, Scripting | CommandFlags.Write, Flush, "Deleting all functions"),
                Sub("list", -2, Scripting, List, "List information about all the functions"),
                Sub("delete", 3, Scripting | CommandFlags.Write, static c => c.Reply.Error("ERR Library not found"), "Delete a function by name"),
                Sub("dump", 2, Scripting, static c => c.Reply.BulkString([0x0A, 0x00, 0x4D, 0x7E, 0x8A, 0xC5, 0xA9, 0xD1, 0x5F, 0x01]), "Dump all functions into a serialized binary payload"),
                Sub("kill", 2, Scripting | CommandFlags.AllowBusy, static c => c.Reply.Error("NOTBUSY No scripts in execution right now."), "Kill the function currently in execution."),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, FunctionHelp, "Show helpful text about the different subcommands"),
                Sub("stats", 2, Scripting | CommandFlags.AllowBusy, Stats, "Return information about the function currently running (name, description, duration)"),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler, string summary) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "scripting", Summary = summary, Since = "2.6.0" };

    private static void Flush(CommandContext context)
    {
        bool plain = context.ArgumentCount == 2;
        if (plain || (context.ArgumentCount == 3
            && (Ascii.EqualsIgnoreCase(context.Argument(2), "sync"u8) || Ascii.EqualsIgnoreCase(context.Argument(2), "async"u8))))
        {
            context.Reply.Ok();
            return;
        }

        context.Reply.Error($"ERR {context.Entry.Parent!.FullName.ToUpperInvariant()} FLUSH only supports SYNC|ASYNC option");
    }

    private static void Exists(CommandContext context)
    {
        context.Reply.ArrayHeader(context.ArgumentCount - 2);
        for (int i = 2; i < context.ArgumentCount; i++)
            context.Reply.Integer(0);
    }

    private static void List(CommandContext context)
    {
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (Ascii.EqualsIgnoreCase(context.Argument(i), "withcode"u8))
                continue;
            if (Ascii.EqualsIgnoreCase(context.Argument(i), "libraryname"u8))
            {
                if (i + 1 >= context.ArgumentCount)
                {
                    context.Reply.Error("ERR library name argument was not given");
                    return;
                }

                i++;
                continue;
            }

            context.Reply.Error("ERR Unknown argument " + Encoding.UTF8.GetString(context.Argument(i)));
            return;
        }

        context.Reply.ArrayHeader(0);
    }

    private static void Stats(CommandContext context)
    {
        RespWriter reply = context.Reply;
        reply.MapHeader(2);
        reply.BulkString("running_script"u8);
        reply.Null();
        reply.BulkString("engines"u8);
        reply.MapHeader(0);
    }

    private static void ScriptHelp(CommandContext context) => HelpTexts.Write(
        context,
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined",
        "    by the lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.");

    private static void FunctionHelp(CommandContext context) => HelpTexts.Write(
        context,
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command");
}
