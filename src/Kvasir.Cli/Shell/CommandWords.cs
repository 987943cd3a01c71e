using System.Globalization;

namespace Kvasir.Cli.Shell;

/// <summary>
/// Splits a typed line into words by the rules of redis-cli, so that lines can be carried over. On bytes: keys and values
/// need not be text, and only ASCII separates.
/// </summary>
internal static class CommandWords
{
    /// <summary>
    /// Words are separated by white space. Double quotes know <c>\n \r \t \a \b \xHH \" \\</c>, single quotes only
    /// <c>\'</c>. Null when a quote is not closed, or is closed in the middle of a word.
    /// </summary>
    public static byte[][]? Split(ReadOnlySpan<byte> line)
    {
        var words = new List<byte[]>();
        int at = 0;
        while (true)
        {
            while (at < line.Length && IsSpace(line[at]))
                at++;
            if (at == line.Length)
                return [.. words];
            using var word = new MemoryStream();
            if (!Word(line, ref at, word))
                return null;
            words.Add(word.ToArray());
        }
    }

    // As isspace of C.
    private static bool IsSpace(byte b) => b is (byte)' ' or >= (byte)'\t' and <= (byte)'\r';

    private static bool Word(ReadOnlySpan<byte> line, ref int at, MemoryStream word)
    {
        while (at < line.Length && !IsSpace(line[at]))
        {
            byte b = line[at++];
            if (b is (byte)'"' or (byte)'\'')
                return Quoted(line, ref at, b, word) && (at == line.Length || IsSpace(line[at]));
            word.WriteByte(b);
        }

        return true;
    }

    private static bool Quoted(ReadOnlySpan<byte> line, ref int at, byte quote, MemoryStream word)
    {
        while (at < line.Length)
        {
            byte b = line[at++];
            if (b == quote)
                return true;
            if (b == '\\' && at < line.Length && (quote == '"' || line[at] == '\''))
                Escape(line, ref at, word);
            else
                word.WriteByte(b);
        }

        return false;
    }

    /// <summary>Behind the backslash.</summary>
    private static void Escape(ReadOnlySpan<byte> line, ref int at, MemoryStream word)
    {
        byte b = line[at++];
        if (b == 'x' && at + 1 < line.Length
            && byte.TryParse(line.Slice(at, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
        {
            word.WriteByte(value);
            at += 2;
            return;
        }

        word.WriteByte(b switch
        {
            (byte)'n' => (byte)'\n',
            (byte)'r' => (byte)'\r',
            (byte)'t' => (byte)'\t',
            (byte)'a' => 7,
            (byte)'b' => 8,
            _ => b,
        });
    }
}
