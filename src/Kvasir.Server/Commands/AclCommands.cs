using System.Security.Cryptography;
using System.Text;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>ACL as a server answers it whose only user is the default one, who may do everything.</summary>
internal static class AclCommands
{
    private const CommandFlags Plain = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;
    private const CommandFlags Administrating = Plain | CommandFlags.Admin;
    private const int PasswordBitsMax = 4096;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "acl", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("cat", -2, Plain, Categories),
                Sub("deluser", -3, Administrating, DeleteUser),
                Sub("dryrun", -4, Administrating, DryRun),
                Sub("genpass", -2, Plain, GeneratePassword),
                Sub("getuser", 3, Administrating, GetUser),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
                Sub("list", 2, Administrating, List),
                Sub("load", 2, Administrating, RefuseFile),
                Sub("log", -2, Administrating, Log),
                Sub("save", 2, Administrating, RefuseFile),
                Sub("setuser", -3, Administrating, RefuseUser),
                Sub("users", 2, Administrating, Users),
                Sub("whoami", 2, Plain, static c => c.Reply.BulkString("default"u8)),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server" };

    private static string? PasswordHash(CommandContext context) => context.Server.RequiresPassword
        ? Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(context.Server.Password)))
        : null;

    private static void Categories(CommandContext context)
    {
        IReadOnlyList<string> names = CommandDescription.CategoryNames;
        if (context.ArgumentCount == 2)
        {
            context.Reply.ArrayHeader(names.Count);
            foreach (string name in names)
                context.Reply.BulkString(name);
            return;
        }

        if (context.ArgumentCount > 3)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        string wanted = Encoding.Latin1.GetString(context.Argument(2)).ToLowerInvariant();
        if (!names.Contains(wanted, StringComparer.Ordinal))
        {
            context.Reply.ErrorAbout("ERR Unknown category '"u8, context.Argument(2), "'"u8);
            return;
        }

        CommandEntry[] found = [.. context.Server.Commands.AllWithSubcommands.Where(e => CommandDescription.Categories(e).Contains("@" + wanted, StringComparer.Ordinal))];
        context.Reply.ArrayHeader(found.Length);
        foreach (CommandEntry entry in found)
            context.Reply.BulkString(entry.FullNameBytes);
    }

    private static void DeleteUser(CommandContext context)
    {
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (context.Argument(i).SequenceEqual("default"u8))
            {
                context.Reply.Error("ERR The 'default' user cannot be removed");
                return;
            }
        }

        context.Reply.Integer(0);
    }

    private static void DryRun(CommandContext context)
    {
        if (!context.Argument(2).SequenceEqual("default"u8))
        {
            context.Reply.ErrorAbout("ERR User '"u8, context.Argument(2), "' not found"u8, max: int.MaxValue);
            return;
        }

        CommandEntry? entry = context.Server.Commands.Find(context.Argument(3));
        if (entry?.Subcommands is not null && context.ArgumentCount > 4)
            entry = entry.Subcommands.Find(context.Argument(4));
        if (entry is null)
            context.Reply.ErrorAbout("ERR Command '"u8, context.Argument(3), "' not found"u8, max: int.MaxValue);
        else if (!entry.HasArity(context.ArgumentCount - 3))
            context.Reply.Error($"ERR wrong number of arguments for '{entry.FullName}' command");
        else
            context.Reply.Ok();
    }

    private static void GeneratePassword(CommandContext context)
    {
        long bits = 256;
        if (context.ArgumentCount > 3)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        if (context.ArgumentCount == 3 && !NumberText.TryArgument(context, 2, out bits))
            return;
        if (bits is <= 0 or > PasswordBitsMax)
        {
            context.Reply.Error($"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {PasswordBitsMax}");
            return;
        }

        context.Reply.BulkString(RandomNumberGenerator.GetHexString((int)((bits + 3) / 4), lowercase: true));
    }

    private static void GetUser(CommandContext context)
    {
        RespWriter reply = context.Reply;
        if (!context.Argument(2).SequenceEqual("default"u8))
        {
            reply.Null();
            return;
        }

        string? hash = PasswordHash(context);
        reply.MapHeader(6);
        reply.BulkString("flags"u8);
        reply.SetHeader(hash is null ? 2 : 1);
        reply.BulkString("on"u8);
        if (hash is null)
            reply.BulkString("nopass"u8);
        reply.BulkString("passwords"u8);
        reply.ArrayHeader(hash is null ? 0 : 1);
        if (hash is not null)
            reply.BulkString(hash);
        reply.BulkString("commands"u8);
        reply.BulkString("+@all"u8);
        reply.BulkString("keys"u8);
        reply.BulkString("~*"u8);
        reply.BulkString("channels"u8);
        reply.BulkString("&*"u8);
        reply.BulkString("selectors"u8);
        reply.ArrayHeader(0);
    }

    private static void List(CommandContext context)
    {
        context.Reply.ArrayHeader(1);
        context.Reply.BulkString($"user default on {(PasswordHash(context) is { } hash ? "#" + hash : "nopass")} ~* &* +@all");
    }

    private static void Users(CommandContext context)
    {
        context.Reply.ArrayHeader(1);
        context.Reply.BulkString("default"u8);
    }

    /// <summary>Nothing is ever denied to the only user there is; failed passwords are counted in the metrics, not here.</summary>
    private static void Log(CommandContext context)
    {
        if (context.ArgumentCount > 3)
            HelpTexts.UnknownSubcommand(context);
        else if (context.ArgumentCount == 3 && Ascii.EqualsIgnoreCase(context.Argument(2), "reset"u8))
            context.Reply.Ok();
        else if (context.ArgumentCount == 2 || NumberText.TryArgument(context, 2, out _))
            context.Reply.ArrayHeader(0);
    }

    private static void RefuseFile(CommandContext context) => context.Reply.Error(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.");

    private static void RefuseUser(CommandContext context) =>
        context.Reply.Error("ERR ACL SETUSER is not supported: there is only the default user; its password is the setting requirepass");

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.");
}
