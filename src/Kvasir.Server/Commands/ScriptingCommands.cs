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
            Name = "script", Arity = -2, Flags = CommandFlags.None, Group = "scripting",
            Subcommands =
            [
                Sub("flush", -2, Scripting, Flush),
                Sub("exists", -3, Scripting, Exists),
                Sub("kill", 2, Scripting | CommandFlags.AllowBusy, static c => c.Reply.Error("NOTBUSY No scripts in execution right now.")),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, ScriptHelp),
            ],
        },
        new()
        {
            Name = "function", Arity = -2, Flags = CommandFlags.None, Group = "scripting",
            Subcommands =
            [
                Sub("flush", -2, Scripting | CommandFlags.Write, Flush),
                Sub("list", -2, Scripting, List),
                Sub("delete", 3, Scripting | CommandFlags.Write, static c => c.Reply.Error("ERR Library not found")),
                Sub("dump", 2, Scripting, static c => c.Reply.BulkString([0x0A, 0x00, 0x5D, 0x9B, 0x5C, 0x40, 0x0F, 0x7F, 0xA2, 0xDA])),
                Sub("kill", 2, Scripting | CommandFlags.AllowBusy, static c => c.Reply.Error("NOTBUSY No scripts in execution right now.")),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, FunctionHelp),
                Sub("stats", 2, Scripting | CommandFlags.AllowBusy, Stats),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "scripting" };

    private static void Flush(CommandContext context)
    {
        bool plain = context.ArgumentCount == 2;
        if (plain || (context.ArgumentCount == 3
            && (Ascii.EqualsIgnoreCase(context.Argument(2), "sync"u8) || Ascii.EqualsIgnoreCase(context.Argument(2), "async"u8))))
        {
            context.Reply.Ok();
            return;
        }

        if (context.Entry.Parent!.FullName is "script")
            context.Reply.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        else if (context.ArgumentCount > 3)
            HelpTexts.UnknownSubcommand(context);
        else
            context.Reply.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    }

    private static void Exists(CommandContext context)
    {
        context.Reply.ArrayHeader(context.ArgumentCount - 2);
        for (int i = 2; i < context.ArgumentCount; i++)
            context.Reply.Integer(0);
    }

    private static void List(CommandContext context)
    {
        bool withCode = false;
        bool named = false;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (!withCode && Ascii.EqualsIgnoreCase(context.Argument(i), "withcode"u8))
            {
                withCode = true;
                continue;
            }

            if (!named && Ascii.EqualsIgnoreCase(context.Argument(i), "libraryname"u8))
            {
                named = true;
                if (i + 1 >= context.ArgumentCount)
                {
                    context.Reply.Error("ERR library name argument was not given");
                    return;
                }

                i++;
                continue;
            }

            context.Reply.ErrorAbout("ERR Unknown argument "u8, context.Argument(i), default, max: int.MaxValue);
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
        reply.MapHeader(1);
        reply.BulkString("LUA"u8);
        reply.MapHeader(2);
        reply.BulkString("libraries_count"u8);
        reply.Integer(0);
        reply.BulkString("functions_count"u8);
        reply.Integer(0);
    }

    private static void ScriptHelp(CommandContext context) => HelpTexts.Write(
        context,
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
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
        "    * Library description",
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
