using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>BITOP: whole strings combined bit by bit; the shorter ones are padded with zeros.</summary>
internal static class BitOpCommand
{
    private enum BitOperation
    {
        And,
        Or,
        Xor,
        Not,
    }

    public static void BitOp(CommandContext context)
    {
        if (!TryOperation(context.Argument(1), out BitOperation operation))
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        if (operation == BitOperation.Not && context.ArgumentCount != 4)
        {
            context.Reply.Error("ERR BITOP NOT must be called with a single source key.");
            return;
        }

        BytesBuffer result = context.Scratch;
        result.Clear();
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            if (!KeyAccess.TryReadString(context, context.Argument(i), out _))
                return;
            ReadOnlySpan<byte> source = KeyAccess.Content(context.Value);
            if (i == 3)
            {
                result.Append(source);
                continue;
            }

            int common = Math.Min(result.Length, source.Length);
            Combine(operation, result.WrittenSpan[..common], source[..common]);
            if (operation == BitOperation.And)
                result.WrittenSpan[common..].Clear();
            ReadOnlySpan<byte> rest = source[common..];
            if (operation == BitOperation.And)
            {
                result.GetSpan(rest.Length)[..rest.Length].Clear();
                result.Advance(rest.Length);
            }
            else
            {
                result.Append(rest);
            }
        }

        if (operation == BitOperation.Not)
        {
            foreach (ref byte b in result.WrittenSpan)
                b = (byte)~b;
        }

        ReadOnlySpan<byte> target = context.Argument(2);
        KeyLookup previous = KeyAccess.FindKey(context, target);
        if (result.Length != 0)
        {
            if (!WriteAdmission.AdmitsRewrite(context, context.Database, target, result.WrittenSpan))
                return;
            KeyAccess.Put(context, target, ValueHeader.RawString, result.WrittenSpan, expiresAtMs: 0, previous);
            context.Changed(KeyEventClass.String, "set"u8, target);
        }
        else if (previous.Exists)
        {
            KeyAccess.Delete(context, target, previous);
            context.Changed(KeyEventClass.Generic, "del"u8, target);
        }

        context.Reply.Integer(result.Length);
    }

    private static bool TryOperation(ReadOnlySpan<byte> word, out BitOperation operation)
    {
        operation = BitOperation.And;
        if (OptionWords.Is(word, "and"u8))
            return true;
        operation = BitOperation.Or;
        if (OptionWords.Is(word, "or"u8))
            return true;
        operation = BitOperation.Xor;
        if (OptionWords.Is(word, "xor"u8))
            return true;
        operation = BitOperation.Not;
        return OptionWords.Is(word, "not"u8);
    }

    private static void Combine(BitOperation operation, Span<byte> result, ReadOnlySpan<byte> source)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(result);
        ReadOnlySpan<ulong> sourceWords = MemoryMarshal.Cast<byte, ulong>(source);
        for (int i = 0; i < words.Length; i++)
            words[i] = Combine(operation, words[i], sourceWords[i]);
        for (int i = words.Length * 8; i < result.Length; i++)
            result[i] = (byte)Combine(operation, result[i], source[i]);
    }

    private static ulong Combine(BitOperation operation, ulong a, ulong b) => operation switch
    {
        BitOperation.And => a & b,
        BitOperation.Or => a | b,
        _ => a ^ b,
    };
}
