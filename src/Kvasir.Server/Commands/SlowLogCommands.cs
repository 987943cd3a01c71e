using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>SLOWLOG.</summary>
internal static class SlowLogCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "slowlog", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("get", -2, Administrating, Get),
                Sub("len", 2, Administrating, static c => c.Reply.Integer(c.Server.SlowLog.Count)),
                Sub("reset", 2, Administrating, Reset),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server" };

    private static void Get(CommandContext context)
    {
        long count = 10;
        if (context.ArgumentCount > 3)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        if (context.ArgumentCount == 3 && (!RespRequestParser.TryNumber(context.Argument(2), out count) || count < -1))
        {
            context.Reply.Error("ERR count should be greater than or equal to -1");
            return;
        }

        SlowLog log = context.Server.SlowLog;
        int shown = count < 0 ? log.Count : (int)Math.Min(count, log.Count);
        context.Reply.ArrayHeader(shown);
        foreach (SlowLogEntry entry in log.Entries.Take(shown))
        {
            context.Reply.ArrayHeader(6);
            context.Reply.Integer(entry.Id);
            context.Reply.Integer(entry.UnixSeconds);
            context.Reply.Integer(entry.Microseconds);
            context.Reply.ArrayHeader(entry.Arguments.Length);
            foreach (byte[] argument in entry.Arguments)
                context.Reply.BulkString(argument);
            context.Reply.BulkString(entry.ClientAddress);
            context.Reply.BulkString(entry.ClientName);
        }
    }

    private static void Reset(CommandContext context)
    {
        context.Server.SlowLog.Clear();
        context.Reply.Ok();
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.");
}
