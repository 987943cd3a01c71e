using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>A command's row as COMMAND INFO and COMMAND DOCS write it.</summary>
internal static class CommandDescription
{
    private static readonly (CommandFlags Flag, string Name)[] s_flagNames =
    [
        (CommandFlags.Write, "write"), (CommandFlags.ReadOnly, "readonly"), (CommandFlags.DenyOom, "denyoom"),
        (CommandFlags.Admin, "admin"), (CommandFlags.PubSub, "pubsub"), (CommandFlags.NoScript, "noscript"),
        (CommandFlags.Blocking, "blocking"), (CommandFlags.Loading, "loading"), (CommandFlags.Stale, "stale"),
        (CommandFlags.SkipMonitor, "skip_monitor"), (CommandFlags.SkipSlowlog, "skip_slowlog"),
        (CommandFlags.Asking, "asking"), (CommandFlags.Fast, "fast"), (CommandFlags.NoAuth, "no_auth"),
        (CommandFlags.NoAsyncLoading, "no_async_loading"),
        (CommandFlags.NoMulti, "no_multi"), (CommandFlags.MovableKeys, "movablekeys"), (CommandFlags.AllowBusy, "allow_busy"),
    ];

    /// <summary>All of Redis's, in its order: also those of families that do not exist here yet.</summary>
    public static IReadOnlyList<string> CategoryNames { get; } =
    [
        "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin",
        "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
    ];

    public static void Write(RespWriter reply, CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        reply.ArrayHeader(10);
        reply.BulkString(entry.FullNameBytes);
        reply.Integer(definition.Arity);
        string[] flags = [.. s_flagNames.Where(f => (definition.Flags & f.Flag) != CommandFlags.None).Select(f => f.Name)];
        reply.SetHeader(flags.Length);
        foreach (string flag in flags)
            reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(flag));
        reply.Integer(definition.FirstKey);
        reply.Integer(definition.LastKey);
        reply.Integer(definition.KeyStep);
        string[] categories = [.. Categories(entry)];
        reply.SetHeader(categories.Length);
        foreach (string category in categories)
            reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(category));
        string[] tips = CommandTips.Of(entry.FullName);
        reply.SetHeader(tips.Length);
        foreach (string tip in tips)
            reply.BulkString(tip);
        IReadOnlyList<KeySpecification> specifications = CommandKeys.Of(entry);
        reply.SetHeader(specifications.Count);
        foreach (KeySpecification specification in specifications)
            WriteKeySpecification(reply, specification);
        IReadOnlyList<CommandEntry> subcommands = entry.Subcommands?.All ?? [];
        if (subcommands.Count == 0)
            reply.SetHeader(0);
        else
            reply.ArrayHeader(subcommands.Count);
        foreach (CommandEntry subcommand in subcommands)
            Write(reply, subcommand);
    }

    /// <summary>What the page of the command says, and its subcommands' pages.</summary>
    public static void WriteDocs(RespWriter reply, CommandEntry entry)
    {
        CommandPage page = CommandPages.Of(entry);
        IReadOnlyList<CommandEntry> subcommands = entry.Subcommands?.All ?? [];
        reply.MapHeader(
            page.Lines.Count + 1 + (page.Flags is null ? 0 : 1) + (page.History.Count == 0 ? 0 : 1)
            + (page.Arguments is null ? 0 : 1) + (subcommands.Count == 0 ? 0 : 1));
        foreach ((string name, string text) in page.Lines)
        {
            reply.BulkString(name);
            reply.BulkString(text);
            if (name is "since")
            {
                reply.BulkString("group"u8);
                reply.BulkString(entry.Definition.Group);
            }
            else if (name is "complexity" && page.Flags is not null)
            {
                WriteFlags(reply, "doc_flags"u8, page.Flags);
            }
        }

        if (page.History.Count != 0)
        {
            reply.BulkString("history"u8);
            reply.SetHeader(page.History.Count);
            foreach ((string version, string change) in page.History)
            {
                reply.ArrayHeader(2);
                reply.BulkString(version);
                reply.BulkString(change);
            }
        }

        if (page.Arguments is not null)
        {
            reply.BulkString("arguments"u8);
            WriteArguments(reply, page.Arguments);
        }

        if (subcommands.Count == 0)
            return;
        reply.BulkString("subcommands"u8);
        reply.MapHeader(subcommands.Count);
        foreach (CommandEntry subcommand in subcommands)
        {
            reply.BulkString(subcommand.FullNameBytes);
            WriteDocs(reply, subcommand);
        }
    }

    private static void WriteArguments(RespWriter reply, IReadOnlyList<ArgumentPage> arguments)
    {
        reply.ArrayHeader(arguments.Count);
        foreach (ArgumentPage argument in arguments)
        {
            reply.MapHeader(
                2 + (argument.KeySpecification is null ? 0 : 1) + argument.Lines.Count + (argument.Flags is null ? 0 : 1) + (argument.Parts.Count == 0 ? 0 : 1));
            reply.BulkString("name"u8);
            reply.BulkString(argument.Name);
            reply.BulkString("type"u8);
            reply.BulkString(argument.Type);
            if (argument.KeySpecification is { } specification)
            {
                reply.BulkString("key_spec_index"u8);
                reply.Integer(specification);
            }

            foreach ((string name, string text) in argument.Lines)
            {
                reply.BulkString(name);
                reply.BulkString(text);
            }

            if (argument.Flags is not null)
                WriteFlags(reply, "flags"u8, argument.Flags);
            if (argument.Parts.Count != 0)
            {
                reply.BulkString("arguments"u8);
                WriteArguments(reply, argument.Parts);
            }
        }
    }

    private static void WriteFlags(RespWriter reply, ReadOnlySpan<byte> name, string[] flags)
    {
        reply.BulkString(name);
        WriteKeyFlags(reply, flags);
    }

    public static void WriteKeyFlags(RespWriter reply, string[] flags)
    {
        reply.SetHeader(flags.Length);
        foreach (string flag in flags)
            reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(flag));
    }

    /// <summary>The ACL categories that flags and group imply, and the definition's own; in Redis's order.</summary>
    public static IEnumerable<string> Categories(CommandEntry entry)
    {
        HashSet<string> own = [.. Implied(entry), .. entry.Definition.Categories];
        return CategoryNames.Where(own.Contains).Select(static c => "@" + c);
    }

    private static IEnumerable<string> Implied(CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        CommandFlags flags = definition.Flags;
        if ((flags & CommandFlags.Write) != CommandFlags.None)
            yield return "write";
        if ((flags & CommandFlags.ReadOnly) != CommandFlags.None && !string.Equals(definition.Group, "scripting", StringComparison.Ordinal))
            yield return "read";
        string? family = entry.Subcommands is not null && definition.Group is not "pubsub" ? null : definition.Group switch
        {
            "generic" => "keyspace",
            "string" or "bitmap" or "connection" or "scripting" => definition.Group,
            "transactions" => "transaction",
            _ => null,
        };
        if (family is not null && !definition.OwnCategoriesOnly)
            yield return family;
        if ((flags & CommandFlags.Admin) != CommandFlags.None)
        {
            yield return "admin";
            yield return "dangerous";
        }

        if ((flags & CommandFlags.PubSub) != CommandFlags.None)
            yield return "pubsub";
        if ((flags & CommandFlags.Blocking) != CommandFlags.None)
            yield return "blocking";
        yield return (flags & CommandFlags.Fast) != CommandFlags.None ? "fast" : "slow";
    }

    private static void WriteKeySpecification(RespWriter reply, KeySpecification specification)
    {
        reply.MapHeader(specification.Notes is null ? 3 : 4);
        if (specification.Notes is not null)
        {
            reply.BulkString("notes"u8);
            reply.BulkString(specification.Notes);
        }

        reply.BulkString("flags"u8);
        WriteKeyFlags(reply, specification.Flags);
        reply.BulkString("begin_search"u8);
        reply.MapHeader(2);
        reply.BulkString("type"u8);
        reply.BulkString(specification.Search switch { KeySearch.Index => "index"u8, KeySearch.Keyword => "keyword"u8, _ => "unknown"u8 });
        reply.BulkString("spec"u8);
        switch (specification.Search)
        {
            case KeySearch.Index:
                reply.MapHeader(1);
                reply.BulkString("index"u8);
                reply.Integer(specification.First);
                break;
            case KeySearch.Keyword:
                reply.MapHeader(2);
                reply.BulkString("keyword"u8);
                reply.BulkString(specification.Keyword!);
                reply.BulkString("startfrom"u8);
                reply.Integer(specification.First);
                break;
            default:
                reply.MapHeader(0);
                break;
        }

        reply.BulkString("find_keys"u8);
        reply.MapHeader(2);
        reply.BulkString("type"u8);
        reply.BulkString(specification.Search == KeySearch.Unknown ? "unknown"u8 : "range"u8);
        reply.BulkString("spec"u8);
        if (specification.Search == KeySearch.Unknown)
        {
            reply.MapHeader(0);
            return;
        }

        reply.MapHeader(3);
        reply.BulkString("lastkey"u8);
        reply.Integer(specification.Last);
        reply.BulkString("keystep"u8);
        reply.Integer(specification.Step);
        reply.BulkString("limit"u8);
        reply.Integer(0);
    }
}
