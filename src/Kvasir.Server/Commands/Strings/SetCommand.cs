using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Strings;

/// <summary>SET with all its options, and the older commands that are one option of it each.</summary>
internal static class SetCommand
{
    [Flags]
    private enum SetOptions
    {
        None = 0,
        IfAbsent = 1,
        IfPresent = 2,
        KeepTtl = 4,
        Get = 8,
    }

    public static void Set(CommandContext context)
    {
        if (context.ArgumentCount == 3)
        {
            SetBlind(context, context.Argument(1), context.Argument(2), expiresAtMs: 0);
            context.Reply.Ok();
            return;
        }

        if (!TryParse(context, out SetOptions options, out ExpireForm form, out int expireArgument))
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        long expiresAtMs = 0;
        if (form != ExpireForm.None && !ExpireTime.TryRead(context, expireArgument, form, out expiresAtMs))
            return;
        ReadOnlySpan<byte> key = context.Argument(1);
        ReadOnlySpan<byte> value = context.Argument(2);
        if (options == SetOptions.None)
        {
            SetBlind(context, key, value, expiresAtMs);
            context.Reply.Ok();
            return;
        }

        bool get = (options & SetOptions.Get) != 0;
        KeyLookup previous;
        if (get)
        {
            if (!KeyAccess.TryReadString(context, key, out previous))
                return;
            ReplyPrevious(context, previous);
        }
        else
        {
            previous = KeyAccess.FindKey(context, key);
        }

        if ((options & SetOptions.IfAbsent) != 0 && previous.Exists || (options & SetOptions.IfPresent) != 0 && !previous.Exists)
        {
            if (!get)
                context.Reply.Null();
            return;
        }

        if ((options & SetOptions.KeepTtl) != 0)
            expiresAtMs = previous.ExpiresAtMs;
        SetKnown(context, key, value, expiresAtMs, form != ExpireForm.None, previous);
        if (!get)
            context.Reply.Ok();
    }

    public static void SetNx(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        KeyLookup previous = KeyAccess.FindKey(context, key);
        if (previous.Exists)
        {
            context.Reply.Integer(0);
            return;
        }

        SetKnown(context, key, context.Argument(2), expiresAtMs: 0, announceExpire: false, previous);
        context.Reply.Integer(1);
    }

    public static void SetEx(CommandContext context) => SetWithDeadline(context, ExpireForm.Seconds);

    public static void PSetEx(CommandContext context) => SetWithDeadline(context, ExpireForm.Milliseconds);

    public static void GetSet(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryReadString(context, key, out KeyLookup previous))
            return;
        ReplyPrevious(context, previous);
        SetKnown(context, key, context.Argument(2), expiresAtMs: 0, announceExpire: false, previous);
    }

    public static void MSet(CommandContext context)
    {
        if (!HasPairs(context))
            return;
        for (int i = 1; i < context.ArgumentCount; i += 2)
        {
            KeyAccess.Foresee(context, i, first: 1, step: 2, values: false);
            SetBlind(context, context.Argument(i), context.Argument(i + 1), expiresAtMs: 0);
        }

        context.Reply.Ok();
    }

    public static void MSetNx(CommandContext context)
    {
        if (!HasPairs(context))
            return;
        for (int i = 1; i < context.ArgumentCount; i += 2)
        {
            if (KeyAccess.FindKey(context, context.Argument(i)).Exists)
            {
                context.Reply.Integer(0);
                return;
            }
        }

        // A key that is named twice exists by the second time, which only its "new" event would tell.
        for (int i = 1; i < context.ArgumentCount; i += 2)
            SetBlind(context, context.Argument(i), context.Argument(i + 1), expiresAtMs: 0);
        context.Reply.Integer(1);
    }

    private static void SetWithDeadline(CommandContext context, ExpireForm form)
    {
        if (!ExpireTime.TryRead(context, 2, form, out long expiresAtMs))
            return;
        SetBlind(context, context.Argument(1), context.Argument(3), expiresAtMs);
        context.Reply.Ok();
    }

    private static void ReplyPrevious(CommandContext context, in KeyLookup previous)
    {
        if (previous.Exists)
            context.Reply.BulkString(KeyAccess.Content(context.Value));
        else
            context.Reply.Null();
    }

    private static void SetBlind(CommandContext context, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        KeyAccess.PutBlind(context, key, value, expiresAtMs);
        context.Changed(KeyEventClass.String, "set"u8, key);
        if (expiresAtMs != 0)
            context.Server.Events.Notify(KeyEventClass.Generic, "expire"u8, context.DatabaseIndex, key);
    }

    private static void SetKnown(
        CommandContext context,
        ReadOnlySpan<byte> key,
        ReadOnlySpan<byte> value,
        long expiresAtMs,
        bool announceExpire,
        in KeyLookup previous)
    {
        KeyAccess.Put(context, key, ValueHeader.PlainString, value, expiresAtMs, previous);
        context.Changed(KeyEventClass.String, "set"u8, key);
        if (announceExpire)
            context.Server.Events.Notify(KeyEventClass.Generic, "expire"u8, context.DatabaseIndex, key);
    }

    private static bool HasPairs(CommandContext context)
    {
        if (context.ArgumentCount % 2 == 1)
            return true;
        context.Reply.Error($"ERR wrong number of arguments for '{context.Command.Name}' command");
        return false;
    }

    private static bool TryParse(CommandContext context, out SetOptions options, out ExpireForm form, out int expireArgument)
    {
        options = SetOptions.None;
        form = ExpireForm.None;
        expireArgument = 0;
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            if (OptionWords.Is(word, "nx"u8) && (options & SetOptions.IfPresent) == 0)
            {
                options |= SetOptions.IfAbsent;
            }
            else if (OptionWords.Is(word, "xx"u8) && (options & SetOptions.IfAbsent) == 0)
            {
                options |= SetOptions.IfPresent;
            }
            else if (OptionWords.Is(word, "get"u8))
            {
                options |= SetOptions.Get;
            }
            else if (OptionWords.Is(word, "keepttl"u8) && form == ExpireForm.None)
            {
                options |= SetOptions.KeepTtl;
            }
            else
            {
                // The same form may come twice, and the last one counts; two different ones contradict each other.
                ExpireForm wanted = FormOf(word);
                if (wanted == ExpireForm.None || (form != ExpireForm.None && form != wanted)
                    || (options & SetOptions.KeepTtl) != 0 || i + 1 == context.ArgumentCount)
                {
                    return false;
                }

                form = wanted;
                expireArgument = ++i;
            }
        }

        return true;
    }

    /// <summary>The form that an option's word names.</summary>
    public static ExpireForm FormOf(ReadOnlySpan<byte> word)
    {
        if (OptionWords.Is(word, "ex"u8))
            return ExpireForm.Seconds;
        if (OptionWords.Is(word, "px"u8))
            return ExpireForm.Milliseconds;
        if (OptionWords.Is(word, "exat"u8))
            return ExpireForm.UnixSeconds;
        return OptionWords.Is(word, "pxat"u8) ? ExpireForm.UnixMilliseconds : ExpireForm.None;
    }
}
