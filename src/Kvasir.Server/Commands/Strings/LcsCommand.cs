using Kvasir.Server.Settings;
using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands.Strings;

/// <summary>LCS: the longest common subsequence of two strings, by the usual table of lengths of prefixes, which may be as large as a string.</summary>
internal static class LcsCommand
{
    public static void Lcs(CommandContext context)
    {
        BytesBuffer bufferB = context.Scratch;
        KeyLookup foundA = KeyAccess.Read(context, context.Argument(1));
        KeyLookup foundB = KeyAccess.Read(context, context.Argument(2), bufferB);
        if ((foundA.Exists && !foundA.IsString) || (foundB.Exists && !foundB.IsString))
        {
            context.Reply.Error("ERR The specified keys must contain string values");
            return;
        }

        bool indexes = false;
        bool lengthOnly = false;
        bool withMatchLength = false;
        long matchLengthMin = 0;
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            if (OptionWords.Is(word, "idx"u8))
            {
                indexes = true;
            }
            else if (OptionWords.Is(word, "len"u8))
            {
                lengthOnly = true;
            }
            else if (OptionWords.Is(word, "withmatchlen"u8))
            {
                withMatchLength = true;
            }
            else if (OptionWords.Is(word, "minmatchlen"u8) && i + 1 < context.ArgumentCount)
            {
                if (!NumberText.TryArgument(context, ++i, out matchLengthMin))
                    return;
                matchLengthMin = Math.Max(matchLengthMin, 0);
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        if (indexes && lengthOnly)
        {
            context.Reply.Error("ERR If you want both the length and indexes, please just use IDX.");
            return;
        }

        ReadOnlySpan<byte> a = KeyAccess.Content(context.Value);
        ReadOnlySpan<byte> b = KeyAccess.Content(bufferB);
        if ((a.Length + 1L) * (b.Length + 1L) > StringLimits.BytesMax(context) / sizeof(uint))
        {
            context.Reply.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
            return;
        }

        uint[] table = LengthsOfPrefixes(a, b);
        int length = (int)table[^1];
        if (lengthOnly)
        {
            context.Reply.Integer(length);
            return;
        }

        byte[] subsequence = new byte[length];
        List<Match> matches = [];
        Walk(a, b, table, subsequence, matches);
        if (!indexes)
        {
            context.Reply.BulkString(subsequence);
            return;
        }

        if (matchLengthMin > 0)
            matches.RemoveAll(match => match.Length < matchLengthMin);
        ReplyMatches(context.Reply, matches, withMatchLength, length);
    }

    private static uint[] LengthsOfPrefixes(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        int width = b.Length + 1;
        uint[] table = new uint[(a.Length + 1) * width];
        for (int i = 1; i <= a.Length; i++)
        {
            Span<uint> above = table.AsSpan((i - 1) * width, width);
            Span<uint> row = table.AsSpan(i * width, width);
            for (int j = 1; j <= b.Length; j++)
                row[j] = a[i - 1] == b[j - 1] ? above[j - 1] + 1 : Math.Max(above[j], row[j - 1]);
        }

        return table;
    }

    /// <summary>Walks back from the ends, as Redis does, so that of several answers the same one is given.</summary>
    private static void Walk(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, uint[] table, byte[] subsequence, List<Match> matches)
    {
        int width = b.Length + 1;
        int i = a.Length;
        int j = b.Length;
        int at = subsequence.Length;
        int run = 0;
        while (i > 0 && j > 0)
        {
            if (a[i - 1] == b[j - 1])
            {
                subsequence[--at] = a[i - 1];
                i--;
                j--;
                run++;
                if (i > 0 && j > 0)
                    continue;
            }
            else if (run == 0)
            {
                StepOver(table, width, ref i, ref j);
                continue;
            }

            // The run of equal bytes that starts here is over.
            matches.Add(new Match(i, j, run));
            run = 0;
            if (i > 0 && j > 0)
                StepOver(table, width, ref i, ref j);
        }
    }

    private static void StepOver(uint[] table, int width, ref int i, ref int j)
    {
        if (table[((i - 1) * width) + j] > table[(i * width) + j - 1])
            i--;
        else
            j--;
    }

    private static void ReplyMatches(RespWriter reply, List<Match> matches, bool withMatchLength, int length)
    {
        reply.MapHeader(2);
        reply.BulkString("matches"u8);
        reply.ArrayHeader(matches.Count);
        foreach (Match match in matches)
        {
            reply.ArrayHeader(withMatchLength ? 3 : 2);
            reply.ArrayHeader(2);
            reply.Integer(match.StartA);
            reply.Integer(match.StartA + match.Length - 1);
            reply.ArrayHeader(2);
            reply.Integer(match.StartB);
            reply.Integer(match.StartB + match.Length - 1);
            if (withMatchLength)
                reply.Integer(match.Length);
        }

        reply.BulkString("len"u8);
        reply.Integer(length);
    }

    private readonly record struct Match(int StartA, int StartB, int Length);
}
