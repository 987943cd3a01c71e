using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Kvasir.Server.Commands.Strings;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>Single bits, and counting and searching them.</summary>
internal static class BitCommands
{
    private const string SyntaxError = "ERR syntax error";

    public static void SetBit(CommandContext context)
    {
        if (!BitOffset.TryArgument(context, 2, writes: true, out long offset))
            return;
        const string Error = "ERR bit is not an integer or out of range";
        if (!NumberText.TryArgument(context, 3, out long bit, Error))
            return;
        if (bit is not (0 or 1))
        {
            context.Reply.Error(Error);
            return;
        }

        ReadOnlySpan<byte> key = context.Argument(1);
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        int index = (int)(offset >> 3);
        int lengthBefore = KeyAccess.Content(context.Value).Length;
        Span<byte> bytes = RangeCommands.Widen(context.Value, index + 1);
        byte mask = (byte)(0x80 >> (int)(offset & 7));
        bool before = (bytes[index] & mask) != 0;
        bool changed = !found.Exists || bytes.Length != lengthBefore || before != (bit == 1);
        if (changed || found.Header != ValueHeader.RawString)
        {
            if (!WriteAdmission.AdmitsRewrite(context, context.Database, key, bytes))
                return;
            bytes[index] = (byte)((bytes[index] & ~mask) | (bit == 1 ? mask : 0));
            KeyAccess.Put(context, key, ValueHeader.RawString, bytes, found.ExpiresAtMs, found);
        }

        if (changed)
            context.Changed(KeyEventClass.String, "setbit"u8, key);

        context.Reply.Integer(before ? 1 : 0);
    }

    public static void GetBit(CommandContext context)
    {
        if (!BitOffset.TryArgument(context, 2, writes: false, out long offset))
            return;
        if (!KeyAccess.TryReadString(context, context.Argument(1), out _))
            return;
        ReadOnlySpan<byte> bytes = KeyAccess.Content(context.Value);
        context.Reply.Integer(offset >> 3 < bytes.Length ? BitAt(bytes, offset) : 0);
    }

    public static void BitCount(CommandContext context)
    {
        if (!KeyAccess.TryReadString(context, context.Argument(1), out KeyLookup found))
            return;
        if (!found.Exists)
        {
            context.Reply.Integer(0);
            return;
        }

        ReadOnlySpan<byte> bytes = KeyAccess.Content(context.Value);
        if (context.ArgumentCount == 2)
        {
            context.Reply.Integer(CountBits(bytes));
            return;
        }

        if (context.ArgumentCount is not (4 or 5))
        {
            context.Reply.Error(SyntaxError);
            return;
        }

        if (!NumberText.TryArgument(context, 2, out long start) || !NumberText.TryArgument(context, 3, out long end))
            return;
        if (start < 0 && end < 0 && start > end)
        {
            context.Reply.Integer(0);
            return;
        }

        bool bits = false;
        if (context.ArgumentCount == 5 && !TryUnit(context, 4, out bits))
            return;
        Clamp(ref start, ref end, bits ? bytes.Length * 8L : bytes.Length);
        if (start > end)
            context.Reply.Integer(0);
        else if (bits)
            context.Reply.Integer(CountBits(bytes, start, end));
        else
            context.Reply.Integer(CountBits(bytes[(int)start..(int)(end + 1)]));
    }

    public static void BitPos(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long bit))
            return;
        if (bit is not (0 or 1))
        {
            context.Reply.Error("ERR The bit argument must be 1 or 0.");
            return;
        }

        if (!KeyAccess.TryReadString(context, context.Argument(1), out KeyLookup found))
            return;
        if (!found.Exists)
        {
            // As if it were zeros without end.
            context.Reply.Integer(bit == 1 ? -1 : 0);
            return;
        }

        ReadOnlySpan<byte> bytes = KeyAccess.Content(context.Value);
        long start = 0;
        long end = bytes.Length - 1;
        bool bits = false;
        bool endGiven = context.ArgumentCount >= 5;
        if (context.ArgumentCount > 3)
        {
            if (context.ArgumentCount > 6)
            {
                context.Reply.Error(SyntaxError);
                return;
            }

            if (!NumberText.TryArgument(context, 3, out start)
                || (context.ArgumentCount == 6 && !TryUnit(context, 5, out bits))
                || (endGiven && !NumberText.TryArgument(context, 4, out end)))
            {
                return;
            }

            Clamp(ref start, ref end, bits ? bytes.Length * 8L : bytes.Length);
        }

        if (start > end)
        {
            context.Reply.Integer(-1);
            return;
        }

        long first = bits ? start : start * 8;
        long last = bits ? end : (end * 8) + 7;
        long position = FindBit(bytes, bit == 1, first, last);
        // Without an end, a string of ones is followed by zeros.
        if (position < 0 && bit == 0 && !endGiven)
            position = bytes.Length * 8L;
        context.Reply.Integer(position);
    }

    private static int BitAt(ReadOnlySpan<byte> bytes, long offset) => (bytes[(int)(offset >> 3)] >> (7 - (int)(offset & 7))) & 1;

    private static bool TryUnit(CommandContext context, int argument, out bool bits)
    {
        ReadOnlySpan<byte> word = context.Argument(argument);
        bits = OptionWords.Is(word, "bit"u8);
        if (bits || OptionWords.Is(word, "byte"u8))
            return true;
        context.Reply.Error(SyntaxError);
        return false;
    }

    private static void Clamp(ref long start, ref long end, long length)
    {
        if (start < 0)
            start = Math.Max(start + length, 0);
        if (end < 0)
            end = Math.Max(end + length, 0);
        end = Math.Min(end, length - 1);
    }

    private static long CountBits(ReadOnlySpan<byte> bytes)
    {
        long count = 0;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words)
            count += BitOperations.PopCount(word);
        foreach (byte b in bytes[(words.Length * 8)..])
            count += BitOperations.PopCount(b);
        return count;
    }

    private static long CountBits(ReadOnlySpan<byte> bytes, long first, long last)
    {
        int firstByte = (int)(first >> 3);
        int lastByte = (int)(last >> 3);
        long count = CountBits(bytes[firstByte..(lastByte + 1)]);
        count -= BitOperations.PopCount((uint)(bytes[firstByte] & ~(0xFF >> (int)(first & 7))));
        return count - BitOperations.PopCount((uint)(bytes[lastByte] & (0x7F >> (int)(last & 7))));
    }

    /// <summary>The first bit of the value in [first, last], or -1.</summary>
    private static long FindBit(ReadOnlySpan<byte> bytes, bool value, long first, long last)
    {
        // Look for ones in the string, or in its complement.
        byte flip = value ? (byte)0 : (byte)0xFF;
        int index = (int)(first >> 3);
        int lastByte = (int)(last >> 3);
        int candidate = (bytes[index] ^ flip) & (0xFF >> (int)(first & 7));
        while (candidate == 0)
        {
            if (index == lastByte)
                return -1;
            index++;
            while (lastByte - index >= 8 && BinaryPrimitives.ReadUInt64LittleEndian(bytes[index..]) == (value ? 0 : ulong.MaxValue))
                index += 8;
            candidate = bytes[index] ^ flip;
        }

        long position = (index * 8L) + BitOperations.LeadingZeroCount((uint)candidate) - 24;
        return position <= last ? position : -1;
    }
}
