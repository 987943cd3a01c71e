using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Strings;

/// <summary>Strings as numbers.</summary>
internal static class CounterCommands
{
    private const string NotAFloat = "ERR value is not a valid float";

    public static void Incr(CommandContext context) => Add(context, 1);

    public static void Decr(CommandContext context) => Add(context, -1);

    public static void IncrBy(CommandContext context)
    {
        if (NumberText.TryArgument(context, 2, out long delta))
            Add(context, delta);
    }

    public static void DecrBy(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long delta))
            return;
        if (delta == long.MinValue)
        {
            context.Reply.Error("ERR decrement would overflow");
            return;
        }

        Add(context, -delta);
    }

    public static void IncrByFloat(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        ExtendedFloat value = ExtendedFloat.Zero;
        if ((found.Exists && !ExtendedFloat.TryParse(KeyAccess.Content(context.Value), out value))
            || !ExtendedFloat.TryParse(context.Argument(2), out ExtendedFloat delta))
        {
            context.Reply.Error(NotAFloat);
            return;
        }

        ExtendedFloat sum = value + delta;
        if (!sum.IsFinite)
        {
            context.Reply.Error("ERR increment would produce NaN or Infinity");
            return;
        }

        BytesBuffer text = context.Scratch;
        text.Clear();
        sum.AppendTo(text);
        KeyAccess.Put(context, key, ValueHeader.TextString, text.WrittenSpan, found.ExpiresAtMs, found);
        context.Changed(KeyEventClass.String, "incrbyfloat"u8, key);
        context.Reply.BulkString(text.WrittenSpan);
    }

    private static void Add(CommandContext context, long delta)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        long value = 0;
        if (found.Exists && !NumberText.TryParseInt64(KeyAccess.Content(context.Value), out value))
        {
            context.Reply.Error(NumberText.NotAnInteger);
            return;
        }

        long sum = unchecked(value + delta);
        if (((value ^ sum) & (delta ^ sum)) < 0)
        {
            context.Reply.Error("ERR increment or decrement would overflow");
            return;
        }

        KeyAccess.Put(
            context, key, ValueHeader.PlainString, NumberText.Format(sum, context.Scratch), found.ExpiresAtMs, found);
        context.Changed(KeyEventClass.String, "incrby"u8, key);
        context.Reply.Integer(sum);
    }
}
