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
        (CommandFlags.MayReplicate, "may_replicate"), (CommandFlags.NoAsyncLoading, "no_async_loading"),
        (CommandFlags.NoMulti, "no_multi"), (CommandFlags.MovableKeys, "movablekeys"), (CommandFlags.AllowBusy, "allow_busy"),
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
        reply.ArrayHeader(subcommands.Count);
        foreach (CommandEntry subcommand in subcommands)
            Write(reply, subcommand);
    }

    public static void WriteDocs(RespWriter reply, CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        IReadOnlyList<CommandEntry> subcommands = entry.Subcommands?.All ?? [];
        reply.MapHeader(subcommands.Count == 0 ? 4 : 5);
        reply.BulkString("summary"u8);
        reply.BulkString(definition.Summary);
        reply.BulkString("since"u8);
        reply.BulkString(definition.Since);
        reply.BulkString("group"u8);
        reply.BulkString(definition.Group);
        reply.BulkString("complexity"u8);
        reply.BulkString(definition.Complexity);
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

    public static void WriteKeyFlags(RespWriter reply, string[] flags)
    {
        reply.SetHeader(flags.Length);
        foreach (string flag in flags)
            reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(flag));
    }

    /// <summary>The ACL categories that flags and group imply, and the definition's own.</summary>
    public static IEnumerable<string> Categories(CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        CommandFlags flags = definition.Flags;
        if ((flags & CommandFlags.Write) != CommandFlags.None)
            yield return "@write";
        if ((flags & CommandFlags.ReadOnly) != CommandFlags.None && !string.Equals(definition.Group, "scripting", StringComparison.Ordinal))
            yield return "@read";
        string? own = entry.Subcommands is not null && definition.Group is not "pubsub" ? null : definition.Group switch
        {
            "generic" => "@keyspace",
            "string" => "@string",
            "bitmap" => "@bitmap",
            "transactions" => "@transaction",
            "connection" => "@connection",
            "scripting" => "@scripting",
            _ => null,
        };
        if (own is not null)
            yield return own;
        if ((flags & CommandFlags.Admin) != CommandFlags.None)
        {
            yield return "@admin";
            yield return "@dangerous";
        }

        if ((flags & CommandFlags.PubSub) != CommandFlags.None)
            yield return "@pubsub";
        if ((flags & CommandFlags.Blocking) != CommandFlags.None)
            yield return "@blocking";
        yield return (flags & CommandFlags.Fast) != CommandFlags.None ? "@fast" : "@slow";
        foreach (string category in definition.Categories)
        {
            if ("@" + category != own)
                yield return "@" + category;
        }
    }

    private static void WriteKeySpecification(RespWriter reply, KeySpecification specification)
    {
        reply.MapHeader(3);
        reply.BulkString("flags"u8);
        WriteKeyFlags(reply, specification.Flags);
        reply.BulkString("begin_search"u8);
        reply.MapHeader(2);
        reply.BulkString("type"u8);
        reply.BulkString("index"u8);
        reply.BulkString("spec"u8);
        reply.MapHeader(1);
        reply.BulkString("index"u8);
        reply.Integer(specification.First);
        reply.BulkString("find_keys"u8);
        reply.MapHeader(2);
        reply.BulkString("type"u8);
        reply.BulkString("range"u8);
        reply.BulkString("spec"u8);
        reply.MapHeader(3);
        reply.BulkString("lastkey"u8);
        reply.Integer(specification.Last);
        reply.BulkString("keystep"u8);
        reply.Integer(specification.Step);
        reply.BulkString("limit"u8);
        reply.Integer(0);
    }
}
