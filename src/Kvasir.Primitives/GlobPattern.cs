namespace Kvasir.Primitives;

/// <summary>
/// Glob-style patterns over bytes exactly as Redis's stringmatchlen understands them: <c>*</c>, <c>?</c>, <c>[a-z]</c>,
/// <c>[^a-z]</c> and <c>\</c> before a literal.
/// </summary>
public static class GlobPattern
{
    /// <summary>Redis gives up on patterns nested deeper, which only serve to burn time.</summary>
    private const int NestingMax = 1000;

    public static bool Matches(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase = false)
    {
        bool skipLongerMatches = false;
        return Matches(pattern, text, ignoreCase, ref skipLongerMatches, 0);
    }

    // When one star has found that its remainder cannot match anywhere in the text, no earlier star needs to try longer
    // matches: that keeps patterns of many stars from taking exponential time.
    private static bool Matches(
        ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase, ref bool skipLongerMatches, int nesting)
    {
        if (nesting > NestingMax)
            return false;
        while (!pattern.IsEmpty && !text.IsEmpty)
        {
            switch (pattern[0])
            {
                case (byte)'*':
                    while (pattern.Length > 1 && pattern[1] == '*')
                        pattern = pattern[1..];
                    if (pattern.Length == 1)
                        return true;
                    while (!text.IsEmpty)
                    {
                        if (Matches(pattern[1..], text, ignoreCase, ref skipLongerMatches, nesting + 1))
                            return true;
                        if (skipLongerMatches)
                            return false;
                        text = text[1..];
                    }

                    skipLongerMatches = true;
                    return false;
                case (byte)'?':
                    text = text[1..];
                    break;
                case (byte)'[':
                    if (!MatchesClass(ref pattern, text[0], ignoreCase))
                        return false;
                    text = text[1..];
                    break;
                default:
                    if (pattern[0] == '\\' && pattern.Length >= 2)
                        pattern = pattern[1..];
                    if (!AreEqual(pattern[0], text[0], ignoreCase))
                        return false;
                    text = text[1..];
                    break;
            }

            if (!pattern.IsEmpty)
                pattern = pattern[1..];
            if (text.IsEmpty)
            {
                pattern = pattern.TrimStart((byte)'*');
                break;
            }
        }

        return pattern.IsEmpty && text.IsEmpty;
    }

    /// <summary>Leaves <paramref name="pattern"/> at the closing bracket, or empty when there is none.</summary>
    private static bool MatchesClass(ref ReadOnlySpan<byte> pattern, byte c, bool ignoreCase)
    {
        pattern = pattern[1..];
        bool not = !pattern.IsEmpty && pattern[0] == '^';
        if (not)
            pattern = pattern[1..];
        bool match = false;
        while (true)
        {
            if (pattern.Length >= 2 && pattern[0] == '\\')
            {
                pattern = pattern[1..];
                match |= pattern[0] == c;
            }
            else if (pattern.IsEmpty || pattern[0] == ']')
            {
                break;
            }
            else if (pattern.Length >= 3 && pattern[1] == '-')
            {
                byte first = pattern[0];
                byte last = pattern[2];
                if (first > last)
                    (first, last) = (last, first);
                byte folded = c;
                if (ignoreCase)
                {
                    first = Lower(first);
                    last = Lower(last);
                    folded = Lower(c);
                }

                pattern = pattern[2..];
                match |= folded >= first && folded <= last;
            }
            else
            {
                match |= AreEqual(pattern[0], c, ignoreCase);
            }

            pattern = pattern[1..];
        }

        return match != not;
    }

    private static bool AreEqual(byte a, byte b, bool ignoreCase) => a == b || (ignoreCase && Lower(a) == Lower(b));

    private static byte Lower(byte c) => c is >= (byte)'A' and <= (byte)'Z' ? (byte)(c | 0x20) : c;
}
