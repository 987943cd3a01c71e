using System.Reflection;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <param name="Lines">Single facts, in the order in which COMMAND DOCS gives them.</param>
/// <param name="Flags">Null for none.</param>
/// <param name="History">Version and what it changed.</param>
/// <param name="Arguments">Null for a command without.</param>
internal sealed record CommandPage(
    IReadOnlyList<(string Name, string Text)> Lines, string[]? Flags, IReadOnlyList<(string Version, string Change)> History, IReadOnlyList<ArgumentPage>? Arguments)
{
    public static CommandPage Empty { get; } = new([], Flags: null, [], Arguments: null);
}

/// <param name="Name">Of the argument.</param>
/// <param name="Type">In Redis's words: key, string, oneof ...</param>
/// <param name="KeySpecification">Which of the command's key specifications finds it, or null.</param>
/// <param name="Lines">Single facts, in order.</param>
/// <param name="Flags">Null for none.</param>
/// <param name="Parts">Of a block or a choice.</param>
internal sealed record ArgumentPage(
    string Name, string Type, int? KeySpecification, IReadOnlyList<(string Name, string Text)> Lines, string[]? Flags, IReadOnlyList<ArgumentPage> Parts);

/// <summary>
/// The pages of COMMAND DOCS, read from <c>CommandPages.txt</c> when a client first asks: a name, then facts two spaces in, and
/// arguments four spaces in, with their parts two more each. Immutable and thread-safe.
/// </summary>
internal static class CommandPages
{
    private static readonly Lazy<Dictionary<string, CommandPage>> s_pages = new(Read);

    /// <summary>Empty for a command that has no page: a test keeps that from happening.</summary>
    public static CommandPage Of(CommandEntry entry) => s_pages.Value.GetValueOrDefault(entry.FullName, CommandPage.Empty);

    private static Dictionary<string, CommandPage> Read()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(typeof(CommandPages), "CommandPages.txt")!;
        using var reader = new StreamReader(stream);
        string[] lines = [.. reader.ReadToEnd().Split('\n').Where(static l => l.Length != 0 && l[0] != '#')];
        Dictionary<string, CommandPage> pages = new(StringComparer.Ordinal);
        int at = 0;
        while (at < lines.Length)
        {
            string name = lines[at++];
            pages.Add(name, ReadPage(lines, ref at));
        }

        return pages;
    }

    private static CommandPage ReadPage(string[] lines, ref int at)
    {
        List<(string, string)> facts = [];
        List<(string, string)> history = [];
        string[]? flags = null;
        IReadOnlyList<ArgumentPage>? arguments = null;
        while (at < lines.Length && Depth(lines[at]) == 1)
        {
            (string name, string text) = Cut(lines[at++], ": ");
            switch (name)
            {
                case "doc_flags":
                    flags = text.Split(' ');
                    break;
                case "history":
                    history.Add(Cut(text, " "));
                    break;
                case "arguments:":
                    arguments = ReadArguments(lines, ref at, depth: 2);
                    break;
                default:
                    facts.Add((name, text));
                    break;
            }
        }

        return new CommandPage(facts, flags, history, arguments);
    }

    private static List<ArgumentPage> ReadArguments(string[] lines, ref int at, int depth)
    {
        List<ArgumentPage> arguments = [];
        while (at < lines.Length && Depth(lines[at]) == depth)
        {
            (string name, string text) = Cut(lines[at++], ": ");
            string[] words = text.Split(' ');
            int? specification = null;
            List<(string, string)> facts = [];
            List<string> flags = [];
            foreach (string word in words.AsSpan(1))
            {
                (string fact, string value) = Cut(word, "=");
                if (fact is "spec")
                    specification = int.Parse(value, System.Globalization.CultureInfo.InvariantCulture);
                else if (word.Contains('=', StringComparison.Ordinal))
                    facts.Add((fact, value.Trim('"')));
                else
                    flags.Add(word);
            }

            arguments.Add(new ArgumentPage(
                name, words[0], specification, facts, flags.Count == 0 ? null : [.. flags], ReadArguments(lines, ref at, depth + 1)));
        }

        Check.That(at == lines.Length || Depth(lines[at]) < depth, "command pages: a line is indented too far");
        return arguments;
    }

    private static (string Head, string Tail) Cut(string text, string separator)
    {
        text = text.TrimStart();
        int end = text.IndexOf(separator, StringComparison.Ordinal);
        return end < 0 ? (text, "") : (text[..end], text[(end + separator.Length)..]);
    }

    private static int Depth(string line) => (line.Length - line.TrimStart().Length) / 2;
}
