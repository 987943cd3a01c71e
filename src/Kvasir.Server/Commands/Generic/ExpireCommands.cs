using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Deadlines of keys: set, asked for, taken away. A deadline that has passed deletes its key at once.</summary>
internal static class ExpireCommands
{
    [Flags]
    private enum Conditions
    {
        None = 0,
        WithoutDeadline = 1,
        WithDeadline = 2,
        Later = 4,
        Earlier = 8,
    }

    public static void Expire(CommandContext context) => SetDeadline(context, context.NowMs, seconds: true);

    public static void PExpire(CommandContext context) => SetDeadline(context, context.NowMs, seconds: false);

    public static void ExpireAt(CommandContext context) => SetDeadline(context, 0, seconds: true);

    public static void PExpireAt(CommandContext context) => SetDeadline(context, 0, seconds: false);

    public static void Ttl(CommandContext context) => ReplyDeadline(context, context.NowMs, seconds: true);

    public static void PTtl(CommandContext context) => ReplyDeadline(context, context.NowMs, seconds: false);

    public static void ExpireTimeOf(CommandContext context) => ReplyDeadline(context, 0, seconds: true);

    public static void PExpireTimeOf(CommandContext context) => ReplyDeadline(context, 0, seconds: false);

    public static void Persist(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        KeyLookup found = KeyAccess.Find(context, key);
        if (found.ExpiresAtMs == 0)
        {
            context.Reply.Integer(0);
            return;
        }

        if (!WriteAdmission.AdmitsRewrite(context, context.Database, key, KeyAccess.Content(context.Value)))
            return;
        KeyAccess.Put(context, key, found.Header, KeyAccess.Content(context.Value), expiresAtMs: 0, found);
        context.Changed(KeyEventClass.Generic, "persist"u8, key);
        context.Reply.Integer(1);
    }

    private static void SetDeadline(CommandContext context, long baseMs, bool seconds)
    {
        if (!TryParseConditions(context, out Conditions conditions) || !NumberText.TryArgument(context, 2, out long when))
            return;
        if (seconds)
        {
            if (when is > long.MaxValue / 1000 or < long.MinValue / 1000)
            {
                ExpireTime.ReplyInvalid(context);
                return;
            }

            when *= 1000;
        }

        if (when > long.MaxValue - baseMs)
        {
            ExpireTime.ReplyInvalid(context);
            return;
        }

        when += baseMs;
        ReadOnlySpan<byte> key = context.Argument(1);
        KeyLookup found = KeyAccess.Find(context, key);
        if (!found.Exists || !Holds(conditions, found.ExpiresAtMs, when))
        {
            context.Reply.Integer(0);
            return;
        }

        if (when <= context.NowMs)
        {
            KeyAccess.Delete(context, key, found);
            context.Changed(KeyEventClass.Generic, "del"u8, key);
        }
        else
        {
            if (!WriteAdmission.AdmitsRewrite(context, context.Database, key, KeyAccess.Content(context.Value)))
                return;
            KeyAccess.Put(context, key, found.Header, KeyAccess.Content(context.Value), when, found);
            context.Changed(KeyEventClass.Generic, "expire"u8, key);
        }

        context.Reply.Integer(1);
    }

    /// <summary>No deadline counts as infinitely late.</summary>
    private static bool Holds(Conditions conditions, long current, long when)
    {
        if ((conditions & Conditions.WithoutDeadline) != 0 && current != 0)
            return false;
        if ((conditions & Conditions.WithDeadline) != 0 && current == 0)
            return false;
        if ((conditions & Conditions.Later) != 0 && (current == 0 || when <= current))
            return false;
        return (conditions & Conditions.Earlier) == 0 || current == 0 || when < current;
    }

    private static bool TryParseConditions(CommandContext context, out Conditions conditions)
    {
        conditions = Conditions.None;
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            Conditions condition = ConditionOf(word);
            if (condition == Conditions.None)
            {
                // As Redis prints it: C's %s ends at the first zero, and line ends are trimmed.
                int end = word.IndexOf((byte)0);
                context.Scratch.Clear();
                context.Scratch.Append("ERR Unsupported option "u8);
                context.Scratch.Append((end < 0 ? word : word[..end]).TrimEnd("\r\n"u8));
                context.Reply.Error(context.Scratch.WrittenSpan);
                return false;
            }

            conditions |= condition;
        }

        const Conditions Others = Conditions.WithDeadline | Conditions.Later | Conditions.Earlier;
        if ((conditions & Conditions.WithoutDeadline) != 0 && (conditions & Others) != 0)
        {
            context.Reply.Error("ERR NX and XX, GT or LT options at the same time are not compatible");
            return false;
        }

        if ((conditions & Conditions.Later) != 0 && (conditions & Conditions.Earlier) != 0)
        {
            context.Reply.Error("ERR GT and LT options at the same time are not compatible");
            return false;
        }

        return true;
    }

    private static Conditions ConditionOf(ReadOnlySpan<byte> word)
    {
        if (OptionWords.Is(word, "nx"u8))
            return Conditions.WithoutDeadline;
        if (OptionWords.Is(word, "xx"u8))
            return Conditions.WithDeadline;
        if (OptionWords.Is(word, "gt"u8))
            return Conditions.Later;
        return OptionWords.Is(word, "lt"u8) ? Conditions.Earlier : Conditions.None;
    }

    private static void ReplyDeadline(CommandContext context, long baseMs, bool seconds)
    {
        KeyLookup found = KeyAccess.ReadKey(context, context.Argument(1));
        if (!found.Exists)
        {
            context.Reply.Integer(-2);
            return;
        }

        if (found.ExpiresAtMs == 0)
        {
            context.Reply.Integer(-1);
            return;
        }

        long value = Math.Max(found.ExpiresAtMs - baseMs, 0);
        context.Reply.Integer(seconds ? RoundToSeconds(value) : value);
    }

    // Unsigned: the last half second before the end of time is rounded up, too.
    private static long RoundToSeconds(long milliseconds) => (long)(((ulong)milliseconds + 500) / 1000);
}
