using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Kvasir.Architecture.Tests;

/// <summary>Rules of the house that a machine can hold.</summary>
public sealed partial class HouseRuleTests
{
    private const int LinesMax = 600;

    // Files that are long for a reason: path, reason.
    private static readonly Dictionary<string, string> s_longForAReason = new(StringComparer.Ordinal);

    [Fact]
    public void NoFileIsTooLongToReadAtOnce()
    {
        Verdict.None(SourceTree.CSharp("src").Concat(SourceTree.CSharp("tests"))
            .Where(f => f.Text.Count(c => c == '\n') > LinesMax && !s_longForAReason.ContainsKey(f.Path))
            .Select(f => $"{f.Path}: {f.Text.Count(c => c == '\n')} lines"));
        foreach (string path in s_longForAReason.Keys)
            Assert.True(File.Exists(Path.Combine(SourceTree.Root, path)), $"{path} is exempted and gone");
    }

    [Fact]
    public void EveryPlantedBugFitsTheSource()
    {
        foreach (string patch in Directory.EnumerateFiles(Path.Combine(SourceTree.Root, "tests", "mutations"), "*.patch").Order(StringComparer.Ordinal))
        {
            ProcessStartInfo check = new("git", ["apply", "--check", "--unidiff-zero", patch])
            {
                WorkingDirectory = SourceTree.Root,
                RedirectStandardError = true,
                UseShellExecute = false,
            };
            using Process git = Process.Start(check)!;
            string says = git.StandardError.ReadToEnd();
            git.WaitForExit();
            Assert.True(git.ExitCode == 0, $"{Path.GetFileName(patch)} must be planted anew: {says}");
        }
    }

    [Fact]
    public void UnfinishedWorkNamesItsIssue() =>
        Verdict.None(SourceTree.AllText().Where(f => !f.Path.EndsWith("HouseRuleTests.cs", StringComparison.Ordinal))
            .SelectMany(f => Unfinished().Matches(f.Text).Select(m => $"{f.Path}: {m.Value}")));

    [Fact]
    public void NoPathOfSomebodysMachineIsInTheTree() =>
        Verdict.None(SourceTree.AllText().Where(f => !f.Path.EndsWith("HouseRuleTests.cs", StringComparison.Ordinal))
            .SelectMany(f => MachinePath().Matches(f.Text).Select(m => $"{f.Path}: {m.Value}")));

    [Fact]
    public void NoTypeHasANameThatSaysNothing() =>
        Verdict.None(SourceTree.CSharp("src")
            .SelectMany(f => EmptyName().Matches(f.Code).Select(m => $"{f.Path}: {m.Groups[1].Value}")));

    [Fact]
    public void NoTypeRepeatsTheLastWordOfItsNamespace() =>
        Verdict.None(SourceTree.CSharp("src").SelectMany(f => TypeName().Matches(f.Code)
            .Where(m => m.Groups[1].Value == f.Namespace.Split('.')[^1]).Select(m => $"{f.Path}: {m.Groups[1].Value}")));

    [Fact]
    public void NothingLeavesTheSimulatedScheduler() =>
        Verdict.None(SourceTree.CSharp("src").Where(f => f.Code.Contains("ConfigureAwait", StringComparison.Ordinal)).Select(f => f.Path));

    [Fact]
    public void TheExampleOfTheReadmeIsTheOneThatIsTested()
    {
        string test = File.ReadAllText(Path.Combine(SourceTree.Root, "tests/Kvasir.Storage.Tests/Store/EmbeddingExampleTests.cs"));
        string example = test.Split("// begin of the example\n")[1].Split("        // end of the example")[0];
        string expected = string.Join('\n', example.TrimEnd().Split('\n')
            .Select(line => (line.Length > 8 ? line[8..] : "").Replace("lines.Add(", "Console.WriteLine(", StringComparison.Ordinal)));
        string readme = File.ReadAllText(Path.Combine(SourceTree.Root, "README.md"));
        Assert.Contains(expected, readme, StringComparison.Ordinal);
        Verdict.None(test.Split('\n').Where(l => l.StartsWith("using ", StringComparison.Ordinal))
            .Where(l => !readme.Contains("\n" + l + "\n", StringComparison.Ordinal)).Select(l => $"the README's example lacks {l}"));
    }

    [Fact]
    public void TheRecipesOfThePackageAreThoseThatAreTested()
    {
        string[] tested = [.. File.ReadAllLines(Path.Combine(SourceTree.Root, "tests/Kvasir.Storage.Tests/Embedded/RecipesTests.cs"))
            .Select(l => l.Trim().Replace("lines.Add(", "Console.WriteLine(", StringComparison.Ordinal)).Where(l => l.Length > 0)];
        string readme = File.ReadAllText(Path.Combine(SourceTree.Root, "src/Kvasir.Storage/README.md"));
        string all = "\n" + string.Join('\n', tested) + "\n";
        string[] recipes = [.. readme.Split("```csharp\n").Skip(1).Select(r => r.Split("```")[0])];
        Assert.True(recipes.Length > 10);
        Verdict.None(recipes.Where(r => !all.Contains(
            "\n" + string.Join('\n', r.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0)) + "\n", StringComparison.Ordinal)));
    }

    [Fact]
    public void LinksBetweenDocumentsLeadSomewhere()
    {
        var broken = new List<string>();
        foreach (SourceFile page in SourceTree.AllText().Where(f => f.Path.EndsWith(".md", StringComparison.Ordinal)))
        {
            string folder = Path.Combine(SourceTree.Root, Path.GetDirectoryName(page.Path)!);
            foreach (Match link in Link().Matches(page.Text))
            {
                string target = link.Groups[1].Value;
                if (target.Contains("://", StringComparison.Ordinal) || target.StartsWith('#') || target.StartsWith("mailto:", StringComparison.Ordinal))
                    continue;
                string path = Path.Combine(folder, target.Split('#')[0]);
                if (!File.Exists(path) && !Directory.Exists(path))
                    broken.Add($"{page.Path} -> {target}");
            }
        }

        Verdict.None(broken);
    }

    [GeneratedRegex(@"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")]
    private static partial Regex Unfinished();

    [GeneratedRegex(@"(?<![\w.])/(home|Users|root|work)/\w+")]
    private static partial Regex MachinePath();

    [GeneratedRegex(@"\b(?:class|struct|interface|record)\s+(\w*(?:Util|Utils|Utility|Utilities|Helper|Helpers|Manager|Managers|Common))\b")]
    private static partial Regex EmptyName();

    [GeneratedRegex(@"\b(?:class|struct|interface|enum|record(?:\s+struct)?)\s+([A-Z]\w*)")]
    private static partial Regex TypeName();

    [GeneratedRegex(@"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")]
    private static partial Regex Link();
}
