using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Values in Redis's own serialised form, out and in.</summary>
internal static class DumpCommands
{
    public static void Dump(CommandContext context)
    {
        if (!KeyAccess.TryReadString(context, context.Argument(1), out KeyLookup found))
            return;
        if (!found.Exists)
        {
            context.Reply.Null();
            return;
        }

        context.Scratch.Clear();
        DumpFormat.AppendString(KeyAccess.Content(context.Value), context.Scratch, context.Server.Settings.Flag("rdbcompression"));
        context.Reply.BulkString(context.Scratch.WrittenSpan);
    }

    public static void Restore(CommandContext context)
    {
        if (!TryParse(context, out bool replace, out bool absolute, out RestoredUse use))
            return;
        ReadOnlySpan<byte> key = context.Argument(1);
        KeyLookup previous = KeyAccess.FindKey(context, key);
        if (previous.Exists && !replace)
        {
            context.Reply.Error("BUSYKEY Target key name already exists.");
            return;
        }

        if (!NumberText.TryArgument(context, 2, out long ttl))
            return;
        if (ttl < 0)
        {
            context.Reply.Error("ERR Invalid TTL value, must be >= 0");
            return;
        }

        ReadOnlySpan<byte> payload = context.Argument(3);
        if (DumpFormat.Verify(payload) != DumpStatus.Ok)
        {
            context.Reply.Error("ERR DUMP payload version or checksum are wrong");
            return;
        }

        context.Scratch.Clear();
        if (DumpFormat.ReadString(payload, context.Scratch, StringLimits.BytesMaxOfRequests(context)) != DumpStatus.Ok)
        {
            context.Reply.Error("ERR Bad data format");
            return;
        }

        if (!StringLimits.Allow(context, context.Scratch.Length, added: 0))
            return;

        if (ttl != 0 && !absolute)
            ttl = unchecked(ttl + context.NowMs);
        if (ttl != 0 && ttl <= context.NowMs)
        {
            if (previous.Exists)
            {
                KeyAccess.Delete(context, key, previous);
                context.Changed(KeyEventClass.Generic, "del"u8, key);
            }
        }
        else
        {
            KeyAccess.Replace(
                context, context.DatabaseIndex, key, ValueHeader.PlainString, context.Scratch.WrittenSpan, ttl, previous);
            context.Changed(KeyEventClass.Generic, "restore"u8, key);
            if (context.Server.Use.IsCounting && use.Frequency is { } frequency)
                context.Server.Use.SetFrequency(context.DatabaseIndex, key, (int)frequency);
            else if (!context.Server.Use.IsCounting && use.IdleSeconds is { } seconds)
                context.Server.Use.SetIdleSeconds(context.DatabaseIndex, key, seconds);
        }

        context.Reply.Ok();
    }

    /// <summary>Would have to connect to another server by itself.</summary>
    public static void Migrate(CommandContext context) =>
        context.Reply.Error("ERR MIGRATE is not supported; use DUMP here and RESTORE there");

    private static bool TryParse(CommandContext context, out bool replace, out bool absolute, out RestoredUse use)
    {
        replace = false;
        absolute = false;
        use = default;
        for (int i = 4; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            bool more = i + 1 < context.ArgumentCount;
            if (OptionWords.Is(word, "replace"u8))
            {
                replace = true;
            }
            else if (OptionWords.Is(word, "absttl"u8))
            {
                absolute = true;
            }
            else if (more && use.Frequency is null && OptionWords.Is(word, "idletime"u8))
            {
                if (!TryNumber(context, ++i, long.MaxValue, "ERR Invalid IDLETIME value, must be >= 0", out long seconds))
                    return false;
                use = use with { IdleSeconds = seconds };
            }
            else if (more && use.IdleSeconds is null && OptionWords.Is(word, "freq"u8))
            {
                if (!TryNumber(context, ++i, byte.MaxValue, "ERR Invalid FREQ value, must be >= 0 and <= 255", out long frequency))
                    return false;
                use = use with { Frequency = frequency };
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return false;
            }
        }

        return true;
    }

    private static bool TryNumber(CommandContext context, int argument, long max, string error, out long value)
    {
        if (!NumberText.TryArgument(context, argument, out value))
            return false;
        if (value >= 0 && value <= max)
            return true;
        context.Reply.Error(error);
        return false;
    }

    private readonly record struct RestoredUse(long? IdleSeconds, long? Frequency);
}
