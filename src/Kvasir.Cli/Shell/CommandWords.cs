using System.Globalization;
using System.Text;

namespace Kvasir.Cli.Shell;

/// <summary>Splits a typed line into words by the rules of redis-cli, so that lines can be carried over.</summary>
internal static class CommandWords
{
    /// <summary>
    /// Words are separated by white space. Double quotes know <c>\n \r \t \a \b \xHH \" \\</c>, single quotes only
    /// <c>\'</c>. Null when a quote is not closed, or is closed in the middle of a word.
    /// </summary>
    public static byte[][]? Split(string line)
    {
        var words = new List<byte[]>();
        int at = 0;
        while (true)
        {
            while (at < line.Length && char.IsWhiteSpace(line[at]))
                at++;
            if (at == line.Length)
                return [.. words];
            using var word = new MemoryStream();
            if (!Word(line, ref at, word))
                return null;
            words.Add(word.ToArray());
        }
    }

    private static bool Word(string line, ref int at, MemoryStream word)
    {
        while (at < line.Length && !char.IsWhiteSpace(line[at]))
        {
            char c = line[at];
            if (c is '"' or '\'')
            {
                at++;
                if (!Quoted(line, ref at, c, word) || (at < line.Length && !char.IsWhiteSpace(line[at])))
                    return false;
                return true;
            }

            Append(word, line, ref at);
        }

        return true;
    }

    private static bool Quoted(string line, ref int at, char quote, MemoryStream word)
    {
        while (at < line.Length)
        {
            char c = line[at];
            if (c == quote)
            {
                at++;
                return true;
            }

            if (c == '\\' && at + 1 < line.Length && (quote == '"' || line[at + 1] == '\''))
                Escape(line, ref at, word);
            else
                Append(word, line, ref at);
        }

        return false;
    }

    private static void Escape(string line, ref int at, MemoryStream word)
    {
        if (line[at + 1] == 'x' && at + 3 < line.Length
            && byte.TryParse(line.AsSpan(at + 2, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
        {
            word.WriteByte(value);
            at += 4;
            return;
        }

        at++;
        int plain = line[at] switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'a' => 7, 'b' => 8, _ => -1 };
        if (plain < 0)
        {
            Append(word, line, ref at);
            return;
        }

        word.WriteByte((byte)plain);
        at++;
    }

    private static void Append(MemoryStream word, string line, ref int at)
    {
        Span<byte> utf8 = stackalloc byte[4];
        Rune.DecodeFromUtf16(line.AsSpan(at), out Rune rune, out int used);
        word.Write(utf8[..rune.EncodeToUtf8(utf8)]);
        at += used;
    }
}
