using System.Globalization;
using System.Text;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// Scenarios as text, a line each: <c>COMMAND arguments => reply</c>. Arguments are quoted as in redis-cli. Replies:
/// <c>+status</c>, <c>-error</c>, <c>:1</c>, <c>"bulk"</c>, <c>nil</c>, <c>[a b]</c> for arrays, <c>?</c> for anything.
/// <c>@advance MS</c> lets time pass. Lines that begin with # are remarks.
/// </summary>
internal static class ScenarioText
{
    public static IEnumerable<ScenarioLine> Parse(string text)
    {
        foreach (string raw in text.Split('\n'))
        {
            string line = raw.Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            int arrow = line.LastIndexOf("=>", StringComparison.Ordinal);
            string command = arrow < 0 ? line : line[..arrow];
            string reply = arrow < 0 ? "?" : line[(arrow + 2)..].Trim();
            yield return new ScenarioLine(line, SplitArguments(command), string.Equals(reply, "?", StringComparison.Ordinal) ? null : ToResp(reply));
        }
    }

    public static byte[][] SplitArguments(string line)
    {
        List<byte[]> arguments = [];
        int i = 0;
        while (true)
        {
            while (i < line.Length && line[i] == ' ')
                i++;
            if (i == line.Length)
                return [.. arguments];
            if (line[i] == '"')
            {
                arguments.Add(ReadQuoted(line, ref i));
                continue;
            }

            int start = i;
            while (i < line.Length && line[i] != ' ')
                i++;
            arguments.Add(Encoding.Latin1.GetBytes(line[start..i]));
        }
    }

    private static byte[] ToResp(string reply)
    {
        var output = new MemoryStream();
        int i = 0;
        Append(reply, ref i, output, topLevel: true);
        return output.ToArray();
    }

    private static void Append(string text, ref int i, MemoryStream output, bool topLevel = false)
    {
        switch (text[i])
        {
            case '"':
                byte[] bulk = ReadQuoted(text, ref i);
                output.Write(Encoding.Latin1.GetBytes($"${bulk.Length}\r\n"));
                output.Write(bulk);
                output.Write("\r\n"u8);
                break;
            case '[':
                i++;
                var items = new MemoryStream();
                int count = 0;
                while (true)
                {
                    while (text[i] == ' ')
                        i++;
                    if (text[i] == ']')
                        break;
                    Append(text, ref i, items);
                    count++;
                }

                i++;
                output.Write(Encoding.Latin1.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*{count}\r\n")));
                output.Write(items.ToArray());
                break;
            default:
                int end = topLevel ? text.Length : text.IndexOfAny([' ', ']'], i);
                if (end < 0)
                    end = text.Length;
                string word = text[i..end];
                i = end;
                output.Write(Encoding.Latin1.GetBytes(string.Equals(word, "nil", StringComparison.Ordinal) ? "$-1\r\n" : word + "\r\n"));
                break;
        }
    }

    private static byte[] ReadQuoted(string text, ref int i)
    {
        var bytes = new MemoryStream();
        for (i++; text[i] != '"'; i++)
        {
            if (text[i] != '\\')
            {
                bytes.WriteByte((byte)text[i]);
                continue;
            }

            i++;
            if (text[i] == 'x')
            {
                bytes.WriteByte(byte.Parse(text.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                i += 2;
                continue;
            }

            bytes.WriteByte(text[i] switch { 'n' => (byte)'\n', 'r' => (byte)'\r', 't' => (byte)'\t', char c => (byte)c });
        }

        i++;
        return bytes.ToArray();
    }
}

/// <param name="Text">As written.</param>
/// <param name="Arguments">The command.</param>
/// <param name="Reply">Its reply on the wire; null for any.</param>
internal sealed record ScenarioLine(string Text, byte[][] Arguments, byte[]? Reply)
{
    public bool IsDirective => Arguments[0][0] == '@';
}
