using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Strings;

/// <summary>The commands that answer whole values.</summary>
internal static class GetCommand
{
    public static void Get(CommandContext context) => KeyAccess.TryReplyString(context, context.Argument(1), out _);

    public static void GetDel(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryReplyString(context, key, out KeyLookup found) || !found.Exists)
            return;
        KeyAccess.Delete(context, key, found);
        context.Changed(KeyEventClass.Generic, "del"u8, key);
    }

    public static void GetEx(CommandContext context)
    {
        if (!TryParse(context, out bool persist, out ExpireForm form, out int expireArgument))
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryReadString(context, key, out KeyLookup found))
            return;
        if (!found.Exists)
        {
            context.Reply.Null();
            return;
        }

        long expiresAtMs = 0;
        if (form != ExpireForm.None && !ExpireTime.TryRead(context, expireArgument, form, out expiresAtMs))
            return;
        ReadOnlySpan<byte> value = KeyAccess.Content(context.Value);
        bool deletes = form is ExpireForm.UnixSeconds or ExpireForm.UnixMilliseconds && expiresAtMs <= context.NowMs;
        bool persists = persist && found.ExpiresAtMs != 0;
        if (!deletes && (form != ExpireForm.None || persists) && !WriteAdmission.AdmitsRewrite(context, context.Database, key, value))
            return;
        context.Reply.BulkString(value);
        if (deletes)
        {
            KeyAccess.Delete(context, key, found);
            context.Changed(KeyEventClass.Generic, "del"u8, key);
        }
        else if (form != ExpireForm.None)
        {
            KeyAccess.Put(context, key, found.Header, value, expiresAtMs, found);
            context.Changed(KeyEventClass.Generic, "expire"u8, key);
        }
        else if (persists)
        {
            KeyAccess.Put(context, key, found.Header, value, expiresAtMs: 0, found);
            context.Changed(KeyEventClass.Generic, "persist"u8, key);
        }
    }

    public static void MGet(CommandContext context)
    {
        context.Reply.ArrayHeader(context.ArgumentCount - 1);
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            KeyAccess.Foresee(context, i, first: 1, step: 1, values: true);
            KeyLookup found = KeyAccess.Read(context, context.Argument(i));
            if (found.Exists && found.IsString)
                context.Reply.BulkString(KeyAccess.Content(context.Value));
            else
                context.Reply.Null();
        }
    }

    private static bool TryParse(CommandContext context, out bool persist, out ExpireForm form, out int expireArgument)
    {
        persist = false;
        form = ExpireForm.None;
        expireArgument = 0;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            if (OptionWords.Is(word, "persist"u8) && form == ExpireForm.None)
            {
                persist = true;
                continue;
            }

            ExpireForm wanted = SetCommand.FormOf(word);
            if (wanted == ExpireForm.None || (form != ExpireForm.None && form != wanted)
                || persist || i + 1 == context.ArgumentCount)
            {
                return false;
            }

            form = wanted;
            expireArgument = ++i;
        }

        return true;
    }
}
