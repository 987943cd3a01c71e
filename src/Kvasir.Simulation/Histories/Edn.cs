using System.Globalization;
using System.Text;

namespace Kvasir.Simulation.Histories;

/// <summary>The values of Clojure's data notation that histories use.</summary>
internal static class Edn
{
    public static void Append(StringBuilder text, HistoryValue value)
    {
        if (value.IsNil)
        {
            text.Append("nil");
        }
        else if (value.IsNumber)
        {
            text.Append(value.Number.ToString(CultureInfo.InvariantCulture));
        }
        else if (value.IsText)
        {
            AppendText(text, value.Text);
        }
        else
        {
            text.Append('[');
            for (int i = 0; i < value.List.Length; i++)
            {
                if (i > 0)
                    text.Append(' ');
                Append(text, value.List[i]);
            }

            text.Append(']');
        }
    }

    public static void AppendText(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            switch (c)
            {
                case '"':
                    text.Append("\\\"");
                    break;
                case '\\':
                    text.Append(@"\\");
                    break;
                case '\n':
                    text.Append("\\n");
                    break;
                case '\r':
                    text.Append("\\r");
                    break;
                case '\t':
                    text.Append("\\t");
                    break;
                case < ' ' or '\u007f' or '\u0085' or '\u2028' or '\u2029':
                    text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    break;
                default:
                    text.Append(c);
                    break;
            }
        }

        text.Append('"');
    }
}

/// <summary>Reads one line of EDN from the left.</summary>
internal ref struct EdnReader(ReadOnlySpan<char> line, int number)
{
    private const int DepthMax = 64;

    private readonly ReadOnlySpan<char> _line = line;
    private int _at;
    private int _depth;

    /// <summary>The line is one map, perhaps with a tag before it; gives its fields to <paramref name="fields"/>.</summary>
    public void ReadEvent(ref HistoryFields fields)
    {
        SkipSpace();
        if (Peek() == '#')
        {
            while (_at < _line.Length && _line[_at] != '{')
                _at++;
        }

        Expect('{');
        while (true)
        {
            SkipSpace();
            if (Peek() == '}')
                break;
            HistoryValue name = ReadValue();
            if (!name.IsText)
                throw Wrong("a field's name is no keyword");
            fields.Take(name.Text, ReadValue(), number);
        }

        _at++;
        SkipSpace();
        if (_at < _line.Length)
            throw Wrong("something follows the map");
    }

    private HistoryValue ReadValue()
    {
        if (++_depth > DepthMax)
            throw Wrong("it is nested too deeply");
        SkipSpace();
        HistoryValue value = Peek() switch
        {
            '[' => ReadList('[', ']'),
            '(' => ReadList('(', ')'),
            '{' => ReadMap(),
            '"' => HistoryValue.Of(ReadText()),
            ':' => HistoryValue.Of(ReadKeyword()),
            '-' or '+' or (>= '0' and <= '9') => HistoryValue.Of(ReadNumber()),
            _ => ReadSymbol(),
        };
        _depth--;
        return value;
    }

    private HistoryValue ReadList(char open, char close)
    {
        Expect(open);
        var values = new List<HistoryValue>();
        while (true)
        {
            SkipSpace();
            if (Peek() == close)
            {
                _at++;
                return HistoryValue.Of([.. values]);
            }

            values.Add(ReadValue());
        }
    }

    /// <summary>A map becomes a list of pairs.</summary>
    private HistoryValue ReadMap()
    {
        Expect('{');
        var values = new List<HistoryValue>();
        while (true)
        {
            SkipSpace();
            if (Peek() == '}')
            {
                _at++;
                return HistoryValue.Of([.. values]);
            }

            HistoryValue key = ReadValue();
            values.Add(HistoryValue.Of(key, ReadValue()));
        }
    }

    private string ReadText()
    {
        Expect('"');
        var text = new StringBuilder();
        while (true)
        {
            char c = Peek();
            _at++;
            if (c == '"')
                break;
            if (c != '\\')
            {
                text.Append(c);
                continue;
            }

            char escaped = Peek();
            _at++;
            text.Append(escaped switch
            {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => ReadCode(),
                '"' or '\\' => escaped,
                _ => throw Wrong($"\\{escaped} is no escape"),
            });
        }

        string read = text.ToString();
        return HistoryFiles.IsText(read) ? read : throw Wrong("a text has half of a surrogate pair");
    }

    private char ReadCode()
    {
        if (_at + 4 > _line.Length
            || !ushort.TryParse(_line.Slice(_at, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort code))
            throw Wrong("\\u wants four hexadecimal digits");
        _at += 4;
        return (char)code;
    }

    private string ReadKeyword()
    {
        Expect(':');
        return ReadWord();
    }

    private long ReadNumber()
    {
        string word = ReadWord();
        return long.TryParse(word.EndsWith('N') ? word[..^1] : word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)
            ? value
            : throw Wrong($"'{word}' is no whole number of 64 bits");
    }

    private HistoryValue ReadSymbol()
    {
        string word = ReadWord();
        return word switch
        {
            "nil" => HistoryValue.Nil,
            "" => throw Wrong($"'{Peek()}' is not expected"),
            _ => throw Wrong($"'{word}' is no value that histories have"),
        };
    }

    private string ReadWord()
    {
        int start = _at;
        while (_at < _line.Length && !char.IsWhiteSpace(_line[_at]) && _line[_at] is not (',' or '[' or ']' or '{' or '}' or '(' or ')' or '"'))
            _at++;
        return _line[start.._at].ToString();
    }

    private void SkipSpace()
    {
        while (_at < _line.Length && (char.IsWhiteSpace(_line[_at]) || _line[_at] == ','))
            _at++;
    }

    private void Expect(char c)
    {
        if (Peek() != c)
            throw Wrong($"'{c}' is expected, not '{Peek()}'");
        _at++;
    }

    private readonly char Peek() => _at < _line.Length ? _line[_at] : throw Wrong("the line ends too early");

    private readonly HistoryFormatException Wrong(string what) =>
        new(number, string.Create(CultureInfo.InvariantCulture, $"column {_at + 1}: {what}"));
}
