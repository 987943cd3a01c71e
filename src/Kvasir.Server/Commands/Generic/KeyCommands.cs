using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Commands on whole keys of any type.</summary>
internal static class KeyCommands
{
    private const string NoSuchKey = "ERR no such key";
    private const string IndexOutOfRange = "ERR DB index is out of range";
    private const string AcrossDatabases = "ERR not possible in a cluster: its databases are keyspaces, each with shards of its own";
    private const string SameObject = "ERR source and destination objects are the same";

    public static void Del(CommandContext context)
    {
        int deleted = 0;
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> key = context.Argument(i);
            KeyLookup found = KeyAccess.FindKey(context, key);
            if (!found.Exists)
                continue;
            KeyAccess.Delete(context, key, found);
            context.Changed(KeyEventClass.Generic, "del"u8, key);
            deleted++;
        }

        context.Reply.Integer(deleted);
    }

    /// <summary>EXISTS and TOUCH: a key named twice counts twice.</summary>
    public static void Exists(CommandContext context)
    {
        int count = 0;
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            if (KeyAccess.ReadKey(context, context.Argument(i)).Exists)
                count++;
        }

        context.Reply.Integer(count);
    }

    public static void Touch(CommandContext context)
    {
        int count = 0;
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            if (!KeyAccess.ReadKey(context, context.Argument(i)).Exists)
                continue;
            count++;
            context.Server.Use.Used(context.DatabaseIndex, context.Argument(i));
        }

        context.Reply.Integer(count);
    }

    public static void Type(CommandContext context)
    {
        KeyLookup found = KeyAccess.Read(context, context.Argument(1));
        context.Reply.SimpleString(found.Exists ? ValueHeader.NameOf(found.Header) : "none"u8);
    }

    public static void Rename(CommandContext context) => Rename(context, onlyIfAbsent: false);

    public static void RenameNx(CommandContext context) => Rename(context, onlyIfAbsent: true);

    public static void Move(CommandContext context)
    {
        if (!TryFindDatabase(context, 2, out int target))
            return;
        int source = context.DatabaseIndex;
        if (source == target)
        {
            context.Reply.Error(SameObject);
            return;
        }

        if (context.Node.Alone is null)
        {
            context.Reply.Error(AcrossDatabases);
            return;
        }

        ReadOnlySpan<byte> key = context.Argument(1);
        KeyLookup found = KeyAccess.Find(context, key);
        if (!found.Exists || KeyAccess.FindKey(context, target, key).Exists)
        {
            context.Reply.Integer(0);
            return;
        }

        if (!WriteAdmission.Admits(context, context.ReplicaOf(target), key, KeyAccess.Content(context.Value)))
            return;
        KeyAccess.Put(context, target, key, found.Header, KeyAccess.Content(context.Value), found.ExpiresAtMs, previous: default);
        KeyAccess.Delete(context, key, found);
        KeyAccess.Changed(context, source, KeyEventClass.Generic, "move_from"u8, key);
        KeyAccess.Changed(context, target, KeyEventClass.Generic, "move_to"u8, key);
        context.Reply.Integer(1);
    }

    public static void Copy(CommandContext context)
    {
        int target = context.DatabaseIndex;
        bool replace = false;
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            if (OptionWords.Is(word, "replace"u8))
            {
                replace = true;
            }
            else if (OptionWords.Is(word, "db"u8) && i + 1 < context.ArgumentCount)
            {
                if (!TryFindDatabase(context, ++i, out target))
                    return;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        if (target != context.DatabaseIndex && context.Node.Alone is null)
        {
            context.Reply.Error(AcrossDatabases);
            return;
        }

        ReadOnlySpan<byte> from = context.Argument(1);
        ReadOnlySpan<byte> to = context.Argument(2);
        if (target == context.DatabaseIndex && from.SequenceEqual(to))
        {
            context.Reply.Error(SameObject);
            return;
        }

        KeyLookup found = KeyAccess.Read(context, from);
        if (!found.Exists)
        {
            context.Reply.Integer(0);
            return;
        }

        KeyLookup previous = KeyAccess.FindKey(context, target, to);
        if (previous.Exists && !replace)
        {
            context.Reply.Integer(0);
            return;
        }

        if (!WriteAdmission.Admits(context, context.ReplicaOf(target), to, KeyAccess.Content(context.Value)))
            return;
        KeyAccess.Replace(context, target, to, found.Header, KeyAccess.Content(context.Value), found.ExpiresAtMs, previous);
        KeyAccess.Changed(context, target, KeyEventClass.Generic, "copy_to"u8, to);
        context.Reply.Integer(1);
    }

    /// <summary>A database by its number, or a keyspace by its name; false after answering that there is none.</summary>
    private static bool TryFindDatabase(CommandContext context, int argument, out int database)
    {
        if (!NumberText.TryParseInt64(context.Argument(argument), out _))
        {
            database = context.FindKeyspace(context.Argument(argument));
            if (database < 0)
            {
                // Redis' own tests of MOVE and COPY ask a server that is alone for Redis' words, to the letter.
                context.Reply.Error(context.Node.Alone is null ? KeyspaceName.UnknownDatabase(context.Argument(argument)) : NumberText.NotAnInteger);
            }

            return database >= 0;
        }

        if (!NumberText.TryInt32Argument(context, argument, out database))
            return false;
        if (!IsThere(context, database))
        {
            context.Reply.Error(IndexOutOfRange);
            return false;
        }

        return true;
    }

    private static bool IsThere(CommandContext context, int database) =>
        (uint)database < (uint)context.Node.DatabaseCount && (context.Node.Alone is null || !context.Node.ReplicasOf(database).IsEmpty);

    private static void Rename(CommandContext context, bool onlyIfAbsent)
    {
        ReadOnlySpan<byte> from = context.Argument(1);
        ReadOnlySpan<byte> to = context.Argument(2);
        KeyLookup found = KeyAccess.Find(context, from);
        if (!found.Exists)
        {
            context.Reply.Error(NoSuchKey);
            return;
        }

        if (from.SequenceEqual(to))
        {
            ReplyRenamed(context, onlyIfAbsent, renamed: false);
            return;
        }

        KeyLookup previous = KeyAccess.FindKey(context, to);
        if (previous.Exists && onlyIfAbsent)
        {
            ReplyRenamed(context, onlyIfAbsent, renamed: false);
            return;
        }

        if (!WriteAdmission.AdmitsRewrite(context, context.Database, to, KeyAccess.Content(context.Value)))
            return;
        KeyAccess.Replace(
            context, context.DatabaseIndex, to, found.Header, KeyAccess.Content(context.Value), found.ExpiresAtMs, previous);
        KeyAccess.Delete(context, from, found);
        context.Changed(KeyEventClass.Generic, "rename_from"u8, from);
        context.Changed(KeyEventClass.Generic, "rename_to"u8, to);
        ReplyRenamed(context, onlyIfAbsent, renamed: true);
    }

    private static void ReplyRenamed(CommandContext context, bool onlyIfAbsent, bool renamed)
    {
        if (onlyIfAbsent)
            context.Reply.Integer(renamed ? 1 : 0);
        else
            context.Reply.Ok();
    }
}
