using System.Globalization;
using Spectre.Console;

namespace Kvasir.Cli.Administration;

/// <summary>A table for people, and for pipes: there it is never cut to the width of a terminal that is not there.</summary>
internal sealed class TextTable
{
    private const int PipeWidth = 400;

    private readonly Table _table = new() { Border = TableBorder.None, ShowHeaders = true };

    public TextTable(params string[] columns)
    {
        foreach (string column in columns)
            _table.AddColumn(new TableColumn(new Text(column, new Style(decoration: Decoration.Bold))) { NoWrap = true, Padding = new Padding(0, 0, 3, 0) });
    }

    /// <summary>A dash stands for what is not known. What is loud stands out where there are colours.</summary>
    public void Add(bool isLoud, params object?[] cells) =>
        _table.AddRow(cells.Select(c => new Text(TextOf(c), isLoud ? new Style(Color.Red) : Style.Plain)));

    public void Write() => Terminal().Write(_table);

    /// <summary>Standard output, coloured where it is a terminal and NO_COLOR is not set.</summary>
    public static IAnsiConsole Terminal()
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = Console.IsOutputRedirected ? AnsiSupport.No : AnsiSupport.Detect,
        });
        if (Console.IsOutputRedirected)
            console.Profile.Width = PipeWidth;
        return console;
    }

    private static string TextOf(object? cell) => cell switch
    {
        null or "" => "-",
        bool flag => flag ? "yes" : "no",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => cell.ToString()!,
    };
}
