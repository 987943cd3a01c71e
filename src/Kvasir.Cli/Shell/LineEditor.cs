using System.Text;

namespace Kvasir.Cli.Shell;

/// <summary>
/// Reads one line from a terminal with the keys that shells have: arrows, Home and End, Ctrl-A/E/B/F/K/U/W/L, history
/// by Up and Down, Ctrl-R to search it, Tab to complete the first word.
/// </summary>
internal sealed class LineEditor(ShellHistory history, Func<string, IReadOnlyList<string>> complete)
{
    private readonly StringBuilder _line = new();
    private string _prompt = "";
    private int _cursor;
    private int _historyAt;
    private string _unfinished = "";

    /// <summary>The line, without its end; empty after Ctrl-C; null at Ctrl-D on an empty line.</summary>
    public string? Read(string prompt)
    {
        _prompt = prompt;
        _line.Clear();
        _cursor = 0;
        _historyAt = history.Lines.Count;
        bool before = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        try
        {
            Draw();
            while (true)
            {
                ConsoleKeyInfo key = Console.ReadKey(intercept: true);
                if (key.Key == ConsoleKey.Enter || key.KeyChar is '\n' or '\r')
                {
                    Console.Write("\n");
                    return _line.ToString();
                }

                if (Is(key, ConsoleKey.C))
                {
                    Console.Write("^C\n");
                    return "";
                }

                if (Is(key, ConsoleKey.D) && _line.Length == 0)
                {
                    Console.Write("\n");
                    return null;
                }

                if (Is(key, ConsoleKey.R))
                    Search();
                else
                    Edit(key);
                Draw();
            }
        }
        finally
        {
            Console.TreatControlCAsInput = before;
        }
    }

    private static bool Is(ConsoleKeyInfo key, ConsoleKey letter) =>
        key.Key == letter && key.Modifiers.HasFlag(ConsoleModifiers.Control);

    private void Edit(ConsoleKeyInfo key)
    {
        bool control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
        switch (key.Key)
        {
            case ConsoleKey.LeftArrow or ConsoleKey.B when control || key.Key == ConsoleKey.LeftArrow:
                _cursor = Math.Max(0, _cursor - 1);
                break;
            case ConsoleKey.RightArrow or ConsoleKey.F when control || key.Key == ConsoleKey.RightArrow:
                _cursor = Math.Min(_line.Length, _cursor + 1);
                break;
            case ConsoleKey.Home or ConsoleKey.A when control || key.Key == ConsoleKey.Home: _cursor = 0; break;
            case ConsoleKey.End or ConsoleKey.E when control || key.Key == ConsoleKey.End: _cursor = _line.Length; break;
            case ConsoleKey.UpArrow or ConsoleKey.P when control || key.Key == ConsoleKey.UpArrow: Recall(-1); break;
            case ConsoleKey.DownArrow or ConsoleKey.N when control || key.Key == ConsoleKey.DownArrow: Recall(1); break;
            case ConsoleKey.Backspace or ConsoleKey.H when control || key.Key == ConsoleKey.Backspace:
                if (_cursor > 0)
                    _line.Remove(--_cursor, 1);
                break;
            case ConsoleKey.Delete or ConsoleKey.D when control || key.Key == ConsoleKey.Delete:
                if (_cursor < _line.Length)
                    _line.Remove(_cursor, 1);
                break;
            case ConsoleKey.K when control: _line.Length = _cursor; break;
            case ConsoleKey.U when control:
                _line.Remove(0, _cursor);
                _cursor = 0;
                break;
            case ConsoleKey.W when control: DeleteWord(); break;
            case ConsoleKey.L when control: Console.Write("\e[H\e[2J"); break;
            case ConsoleKey.Tab: Complete(); break;
            default:
                if (!char.IsControl(key.KeyChar))
                    _line.Insert(_cursor++, key.KeyChar);
                break;
        }
    }

    private void Recall(int step)
    {
        int to = _historyAt + step;
        if (to < 0 || to > history.Lines.Count)
            return;
        if (_historyAt == history.Lines.Count)
            _unfinished = _line.ToString();
        _historyAt = to;
        Set(to == history.Lines.Count ? _unfinished : history.Lines[to]);
    }

    private void DeleteWord()
    {
        int start = _cursor;
        while (start > 0 && _line[start - 1] == ' ')
            start--;
        while (start > 0 && _line[start - 1] != ' ')
            start--;
        _line.Remove(start, _cursor - start);
        _cursor = start;
    }

    private void Complete()
    {
        string typed = _line.ToString();
        if (typed.Length == 0 || typed.Contains(' ', StringComparison.Ordinal))
            return;
        IReadOnlyList<string> matches = complete(typed);
        if (matches.Count == 0)
            return;
        string common = matches[0];
        foreach (string match in matches)
        {
            while (!match.StartsWith(common, StringComparison.Ordinal))
                common = common[..^1];
        }

        if (matches.Count == 1)
            Set(matches[0] + " ");
        else if (common.Length > typed.Length)
            Set(common);
        else
            Console.Write("\n" + string.Join("  ", matches) + "\n");
    }

    private void Search()
    {
        var wanted = new StringBuilder();
        int from = history.Lines.Count - 1;
        string found = "";
        while (true)
        {
            Console.Write($"\r\e[K(search) '{wanted}': {found}");
            ConsoleKeyInfo key = Console.ReadKey(intercept: true);
            if (Is(key, ConsoleKey.C) || Is(key, ConsoleKey.G) || key.Key == ConsoleKey.Escape)
                return;
            if (Is(key, ConsoleKey.R))
                from--;
            else if (key.Key == ConsoleKey.Backspace && wanted.Length > 0)
                (wanted.Length, from) = (wanted.Length - 1, history.Lines.Count - 1);
            else if (!char.IsControl(key.KeyChar))
                wanted.Append(key.KeyChar);
            else
            {
                Set(found.Length > 0 ? found : _line.ToString());
                return;
            }

            int at = Math.Min(from, history.Lines.Count - 1);
            while (at >= 0 && !history.Lines[at].Contains(wanted.ToString(), StringComparison.OrdinalIgnoreCase))
                at--;
            if (at >= 0)
                (found, from) = (history.Lines[at], at);
        }
    }

    private void Set(string text)
    {
        _line.Clear().Append(text);
        _cursor = _line.Length;
    }

    /// <summary>Draws the line again, of a line longer than the terminal the part around the cursor.</summary>
    private void Draw()
    {
        int width = Math.Max(10, Console.WindowWidth - _prompt.Length - 1);
        int first = Math.Max(0, _cursor - width);
        string shown = _line.ToString(first, Math.Min(width, _line.Length - first));
        Console.Write($"\r\e[K{_prompt}{shown}\r\e[{_prompt.Length + _cursor - first}C");
    }
}
