using Kvasir.Server.Settings;
using System.Buffers.Text;
using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Walks over the keys of a database.</summary>
internal static class ScanCommands
{
    public static void Keys(CommandContext context)
    {
        ReadOnlySpan<byte> pattern = context.Argument(1);
        bool all = pattern.SequenceEqual("*"u8);
        BytesBuffer found = context.Scratch;
        found.Clear();
        int count = 0;
        using (EngineScan scan = context.Execution.CreateScan(
            context.Database, new IteratorOptions { KeysOnly = true, BypassCache = true }))
        {
            for (scan.SeekToFirst(); scan.Valid; scan.Next())
            {
                if (IsExpired(context, scan) || !(all || GlobPattern.Matches(pattern, scan.Key)))
                    continue;
                AppendBulk(found, scan.Key);
                count++;
            }
        }

        context.Reply.ArrayHeader(count);
        context.Reply.Buffer.Append(found.WrittenSpan);
        found.ClearAndTrim(1 << 16);
    }

    public static void Scan(CommandContext context)
    {
        if (!TryParseCursor(context.Argument(1), out ulong cursor))
        {
            context.Reply.Error("ERR invalid cursor");
            return;
        }

        long count = 10;
        int patternArgument = 0;
        int typeArgument = 0;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            bool more = i + 1 < context.ArgumentCount;
            if (more && OptionWords.Is(word, "count"u8))
            {
                if (!NumberText.TryArgument(context, ++i, out count))
                    return;
                if (count < 1)
                {
                    context.Reply.Error("ERR syntax error");
                    return;
                }
            }
            else if (more && OptionWords.Is(word, "match"u8))
            {
                patternArgument = ++i;
            }
            else if (more && OptionWords.Is(word, "type"u8))
            {
                typeArgument = ++i;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        Scan(context, cursor, count, patternArgument, typeArgument);
    }

    private static void Scan(CommandContext context, ulong cursor, long count, int patternArgument, int typeArgument)
    {
        ReadOnlySpan<byte> pattern = patternArgument == 0 ? "*"u8 : context.Argument(patternArgument);
        bool all = pattern.SequenceEqual("*"u8);
        BytesBuffer found = context.Scratch;
        found.Clear();
        int matched = 0;
        ulong next = 0;
        bool isOrdered = context.Database.Engine is IOrderedEngine;
        using (EngineScan scan = context.Execution.CreateScan(
            context.Database, new IteratorOptions { KeysOnly = typeArgument == 0, BypassCache = true }))
        {
            if (cursor != 0 && context.Server.ScanCursors.TryGetResumeKey(cursor, isOrdered, out ReadOnlySpan<byte> resumeKey))
                scan.Seek(resumeKey);
            else
                scan.SeekToFirst();
            for (; scan.Valid; scan.Next())
            {
                if (count-- == 0)
                {
                    next = context.Server.ScanCursors.Add(scan.Key, isOrdered);
                    break;
                }

                if (IsExpired(context, scan) || !(all || GlobPattern.Matches(pattern, scan.Key)))
                    continue;
                if (typeArgument != 0 && !OptionWords.Is(context.Argument(typeArgument), ValueHeader.NameOf(scan.Value[0])))
                    continue;
                AppendBulk(found, scan.Key);
                matched++;
            }
        }

        context.Reply.ArrayHeader(2);
        context.Reply.BulkString(next.ToString(CultureInfo.InvariantCulture));
        context.Reply.ArrayHeader(matched);
        context.Reply.Buffer.Append(found.WrittenSpan);
        found.ClearAndTrim(1 << 16);
    }

    /// <summary>What C's strtoul takes whole: an optional sign (a minus wraps around), digits; nothing at all is zero.</summary>
    public static bool TryParseCursor(ReadOnlySpan<byte> text, out ulong cursor)
    {
        cursor = 0;
        if (text.IsEmpty)
            return true;
        bool negative = text[0] == '-';
        ReadOnlySpan<byte> digits = text[0] is (byte)'-' or (byte)'+' ? text[1..] : text;
        if (!Utf8Parser.TryParse(digits, out cursor, out int consumed) || consumed != digits.Length || digits[0] == '+')
            return false;
        if (negative)
            cursor = unchecked(0 - cursor);
        return true;
    }

    private static bool IsExpired(CommandContext context, EngineScan scan) =>
        scan.ExpiresAtMs != 0 && context.NowMs > scan.ExpiresAtMs;

    private static void AppendBulk(BytesBuffer destination, ReadOnlySpan<byte> bytes)
    {
        Span<byte> span = destination.GetSpan(bytes.Length + 16);
        span[0] = (byte)'$';
        Utf8Formatter.TryFormat(bytes.Length, span[1..], out int digits);
        int at = 1 + digits;
        span[at++] = (byte)'\r';
        span[at++] = (byte)'\n';
        bytes.CopyTo(span[at..]);
        at += bytes.Length;
        span[at++] = (byte)'\r';
        span[at++] = (byte)'\n';
        destination.Advance(at);
    }
}
