using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>COMMAND: the table about itself.</summary>
internal static class CommandCommands
{
    private const CommandFlags Answering = CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "command", Arity = -1, Flags = Answering, Group = "server", Categories = ["connection"],
            Handler = static c => WriteAll(c, c.Server.Commands.All),
            Subcommands =
            [
                Sub("count", 2, static c => c.Reply.Integer(c.Server.Commands.All.Count)),
                Sub("info", -2, Info),
                Sub("docs", -2, Docs),
                Sub("list", -2, List),
                Sub("getkeys", -4, static c => GetKeys(c, flags: false)),
                Sub("getkeysandflags", -4, static c => GetKeys(c, flags: true)),
                Sub("help", 2, Help),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = Answering, Handler = handler, Group = "server", Categories = ["connection"] };

    private static void WriteAll(CommandContext context, IReadOnlyList<CommandEntry> entries)
    {
        context.Reply.ArrayHeader(entries.Count);
        foreach (CommandEntry entry in entries)
            CommandDescription.Write(context.Reply, entry);
    }

    private static void Info(CommandContext context)
    {
        if (context.ArgumentCount == 2)
        {
            WriteAll(context, context.Server.Commands.All);
            return;
        }

        context.Reply.ArrayHeader(context.ArgumentCount - 2);
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (Find(context, context.Argument(i)) is { } entry)
                CommandDescription.Write(context.Reply, entry);
            else
                context.Reply.Null();
        }
    }

    private static void Docs(CommandContext context)
    {
        List<CommandEntry> entries = [];
        if (context.ArgumentCount == 2)
            entries.AddRange(context.Server.Commands.All);
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (Find(context, context.Argument(i)) is { } entry)
                entries.Add(entry);
        }

        context.Reply.MapHeader(entries.Count);
        foreach (CommandEntry entry in entries)
        {
            context.Reply.BulkString(entry.FullNameBytes);
            CommandDescription.WriteDocs(context.Reply, entry);
        }
    }

    private static void List(CommandContext context)
    {
        Func<CommandEntry, bool> filter = static _ => true;
        if (context.ArgumentCount == 5 && Ascii.EqualsIgnoreCase(context.Argument(2), "filterby"u8))
        {
            string value = Encoding.UTF8.GetString(context.Argument(4));
            byte[] pattern = context.Argument(4).ToArray();
            if (Ascii.EqualsIgnoreCase(context.Argument(3), "module"u8))
                filter = static _ => false;
            else if (Ascii.EqualsIgnoreCase(context.Argument(3), "aclcat"u8))
                filter = e => CommandDescription.Categories(e).Contains("@" + value.ToLowerInvariant(), StringComparer.Ordinal);
            else if (Ascii.EqualsIgnoreCase(context.Argument(3), "pattern"u8))
                filter = e => GlobPattern.Matches(pattern, e.FullNameBytes, ignoreCase: true);
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }
        else if (context.ArgumentCount != 2)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        CommandEntry[] found = [.. context.Server.Commands.AllWithSubcommands.Where(filter)];
        context.Reply.ArrayHeader(found.Length);
        foreach (CommandEntry entry in found)
            context.Reply.BulkString(entry.FullNameBytes);
    }

    private static void GetKeys(CommandContext context, bool flags)
    {
        CommandEntry? entry = context.Server.Commands.Find(context.Argument(2));
        if (entry?.Subcommands is not null && context.ArgumentCount > 3)
            entry = entry.Subcommands.Find(context.Argument(3));
        if (entry is null)
        {
            context.Reply.Error("ERR Invalid command specified");
            return;
        }

        if (CommandKeys.Of(entry).All(static s => s.Flags.Contains("not_key", StringComparer.Ordinal)))
        {
            context.Reply.Error("ERR The command has no key arguments");
            return;
        }

        if (!entry.HasArity(context.ArgumentCount - 2))
        {
            context.Reply.Error("ERR Invalid number of arguments specified for command");
            return;
        }

        List<(int Argument, string[] Flags)> keys = CommandKeys.Find(context, entry, start: 2);
        if (keys.Count == 0)
        {
            context.Reply.Error("ERR Invalid arguments specified for command");
            return;
        }

        context.Reply.ArrayHeader(keys.Count);
        foreach ((int argument, string[] how) in keys)
        {
            if (flags)
                context.Reply.ArrayHeader(2);
            context.Reply.BulkString(context.Argument(argument));
            if (flags)
                CommandDescription.WriteKeyFlags(context.Reply, how);
        }
    }

    private static CommandEntry? Find(CommandContext context, ReadOnlySpan<byte> name)
    {
        int bar = name.IndexOf((byte)'|');
        if (bar < 0)
            return context.Server.Commands.Find(name);
        return context.Server.Commands.Find(name[..bar])?.Subcommands?.Find(name[(bar + 1)..]);
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.");
}
