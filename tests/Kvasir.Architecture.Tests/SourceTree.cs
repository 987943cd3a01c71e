using System.Text.RegularExpressions;

namespace Kvasir.Architecture.Tests;

/// <summary>The repository as text: what the tests of this project read.</summary>
internal static partial class SourceTree
{
    public static string Root { get; } = FindRoot();

    /// <summary>All C# files below a folder of the repository, with paths relative to its root and forward slashes.</summary>
    public static IEnumerable<SourceFile> CSharp(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(p => Path.GetRelativePath(Root, p).Replace('\\', '/'))
            .Where(p => !p.Contains("/obj/", StringComparison.Ordinal) && !p.Contains("/bin/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(p => new SourceFile(p, File.ReadAllText(Path.Combine(Root, p))));

    /// <summary>Every text file that is ours: sources, scripts, documents, settings.</summary>
    public static IEnumerable<SourceFile> AllText()
    {
        string[] extensions = [".cs", ".csproj", ".props", ".targets", ".md", ".sh", ".json", ".txt", ".slnx", ""];
        foreach (string path in Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories))
        {
            string relative = Path.GetRelativePath(Root, path).Replace('\\', '/');
            if (Outside().IsMatch(relative) || !extensions.Contains(Path.GetExtension(relative)))
                continue;
            yield return new SourceFile(relative, File.ReadAllText(path));
        }
    }

    [GeneratedRegex(@"(^|/)(artifacts|data|obj|bin|\.git|\.vs|\.idea|BenchmarkDotNet\.Artifacts)(/|$)")]
    private static partial Regex Outside();

    private static string FindRoot()
    {
        for (string? at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(Path.Combine(at, "Kvasir.slnx")))
                return at;
        }

        throw new InvalidOperationException("the tests do not run inside the repository");
    }
}

/// <summary>One file of the repository.</summary>
internal sealed partial record SourceFile(string Path, string Text)
{
    /// <summary>The text without comments, strings and characters.</summary>
    public string Code => Noise().Replace(Text, " ");

    public string Namespace => Declaration().Match(Text).Groups[1].Value;

    /// <summary>Namespaces that the file imports, static imports' types included.</summary>
    public IEnumerable<string> Usings => Import().Matches(Text).Select(m => m.Groups[1].Value);

    /// <summary><c>src/Room/Subsystem</c>, or <c>src/Room</c> for a file at a project's root.</summary>
    public string Folder
    {
        get
        {
            string[] parts = Path.Split('/');
            return string.Join('/', parts[..Math.Min(3, parts.Length - 1)]);
        }
    }

    [GeneratedRegex("""
        //[^\n]*|/\*.*?\*/|\$*"{3,}.*?"{3,}|\$?@"(?:[^"]|"")*"|@?\$?"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\])+'
        """, RegexOptions.Singleline)]
    private static partial Regex Noise();

    [GeneratedRegex(@"^namespace\s+([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^\s*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?([\w.]+)\s*;", RegexOptions.Multiline)]
    private static partial Regex Import();
}
