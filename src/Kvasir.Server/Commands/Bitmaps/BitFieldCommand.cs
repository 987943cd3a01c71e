using Kvasir.Server.Commands.Strings;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>BITFIELD: integers of 1 to 64 bits at any bit of a string.</summary>
internal static class BitFieldCommand
{
    private enum BitFieldAction
    {
        Get,
        Set,
        IncrBy,
    }

    public static void BitField(CommandContext context) => Run(context, readOnly: false);

    public static void BitFieldReadOnly(CommandContext context) => Run(context, readOnly: true);

    private static void Run(CommandContext context, bool readOnly)
    {
        // The arguments are read twice: first to refuse all of them if one is wrong, then to act.
        if (!TryCheck(context, out int count, out long lastWrittenBit))
            return;
        if (readOnly && lastWrittenBit >= 0)
        {
            context.Reply.Error("ERR BITFIELD_RO only supports the GET subcommand");
            return;
        }

        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        if (lastWrittenBit < 0)
            KeyAccess.CountRead(context, key, found);
        int lengthBefore = KeyAccess.Content(context.Value).Length;
        Span<byte> bytes = RangeCommands.Widen(context.Value, (int)((lastWrittenBit + 8) >> 3));
        if (lastWrittenBit >= 0 && !WriteAdmission.AdmitsRewrite(context, context.Database, key, bytes))
            return;
        bool grown = lastWrittenBit >= 0 && (!found.Exists || bytes.Length != lengthBefore);
        context.Reply.ArrayHeader(count);
        bool changed = false;
        BitFieldOverflow overflow = BitFieldOverflow.Wrap;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            if (OptionWords.Is(context.Argument(i), "overflow"u8))
            {
                _ = TryOverflow(context.Argument(++i), out overflow);
                continue;
            }

            BitFieldAction action = ActionOf(context.Argument(i));
            _ = BitFieldType.TryParse(context.Argument(i + 1), out BitFieldType type);
            _ = BitOffset.TryArgument(context, i + 2, writes: action != BitFieldAction.Get, out long offset, type.Bits);
            if (action == BitFieldAction.Get)
            {
                context.Reply.Integer(type.Read(bytes, offset));
                i += 2;
                continue;
            }

            _ = NumberText.TryParseInt64(context.Argument(i + 3), out long operand);
            i += 3;
            long before = type.Read(bytes, offset);
            bool fits = action == BitFieldAction.Set
                ? type.TryAdd(operand, 0, overflow, out long after)
                : type.TryAdd(before, operand, overflow, out after);
            if (!fits)
            {
                context.Reply.Null();
                continue;
            }

            context.Reply.Integer(action == BitFieldAction.Set ? before : after);
            type.Write(bytes, offset, after);
            changed |= grown || before != after;
        }

        // As in Redis, making room counts as a write even when every operation on it failed, but is not told of; and a
        // string that was to be written is raw from then on.
        if (changed || grown || (lastWrittenBit >= 0 && found.Header != ValueHeader.RawString))
            KeyAccess.Put(context, key, ValueHeader.RawString, bytes, found.ExpiresAtMs, found);
        if (changed)
            context.Changed(KeyEventClass.String, "setbit"u8, key);
    }

    private static bool TryCheck(CommandContext context, out int count, out long lastWrittenBit)
    {
        count = 0;
        lastWrittenBit = -1;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            int rest = context.ArgumentCount - i - 1;
            if (rest >= 1 && OptionWords.Is(word, "overflow"u8))
            {
                if (TryOverflow(context.Argument(++i), out _))
                    continue;
                context.Reply.Error("ERR Invalid OVERFLOW type specified");
                return false;
            }

            bool isGet = rest >= 2 && OptionWords.Is(word, "get"u8);
            if (!isGet && !(rest >= 3 && (OptionWords.Is(word, "set"u8) || OptionWords.Is(word, "incrby"u8))))
            {
                context.Reply.Error("ERR syntax error");
                return false;
            }

            if (!BitFieldType.TryParse(context.Argument(i + 1), out BitFieldType type))
            {
                context.Reply.Error(
                    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
                return false;
            }

            if (!BitOffset.TryArgument(context, i + 2, writes: !isGet, out long offset, type.Bits))
                return false;
            if (!isGet)
            {
                lastWrittenBit = Math.Max(lastWrittenBit, offset + type.Bits - 1);
                if (!NumberText.TryArgument(context, i + 3, out _))
                    return false;
            }

            i += isGet ? 2 : 3;
            count++;
        }

        return true;
    }

    private static BitFieldAction ActionOf(ReadOnlySpan<byte> word)
    {
        if (OptionWords.Is(word, "get"u8))
            return BitFieldAction.Get;
        return OptionWords.Is(word, "set"u8) ? BitFieldAction.Set : BitFieldAction.IncrBy;
    }

    private static bool TryOverflow(ReadOnlySpan<byte> word, out BitFieldOverflow overflow)
    {
        overflow = BitFieldOverflow.Wrap;
        if (OptionWords.Is(word, "wrap"u8))
            return true;
        overflow = BitFieldOverflow.Saturate;
        if (OptionWords.Is(word, "sat"u8))
            return true;
        overflow = BitFieldOverflow.Fail;
        return OptionWords.Is(word, "fail"u8);
    }
}
