using System.Xml.Linq;

namespace Kvasir.Architecture.Tests;

/// <summary>Rooms use rooms on lower floors only; docs/ARCHITECTURE.md draws the floors.</summary>
public sealed class ProjectFloorTests
{
    private static readonly Dictionary<string, string[]> s_mayUse = new(StringComparer.Ordinal)
    {
        ["Kvasir.Primitives"] = [],
        ["Kvasir.Wire"] = ["Kvasir.Primitives"],
        ["Kvasir.Storage"] = ["Kvasir.Primitives"],
        ["Kvasir.Caching"] = ["Kvasir.Primitives", "Kvasir.Storage"],
        ["Kvasir.Raft"] = ["Kvasir.Primitives"],
        ["Kvasir.Cluster"] = ["Kvasir.Primitives", "Kvasir.Storage", "Kvasir.Raft"],
        ["Kvasir.Simulation"] = ["Kvasir.Primitives", "Kvasir.Storage", "Kvasir.Raft", "Kvasir.Cluster"],
        ["Kvasir.Server"] = ["Kvasir.Primitives", "Kvasir.Wire", "Kvasir.Storage", "Kvasir.Cluster"],
        ["Kvasir.Cli"] =
            ["Kvasir.Primitives", "Kvasir.Wire", "Kvasir.Storage", "Kvasir.Cluster", "Kvasir.Server", "Kvasir.Simulation"],
    };

    [Fact]
    public void EveryProjectUsesOnlyWhatLiesBelowIt()
    {
        var wrong = new List<string>();
        foreach (string path in Projects("src"))
        {
            string name = Path.GetFileNameWithoutExtension(path);
            if (!s_mayUse.TryGetValue(name, out string[]? allowed))
            {
                wrong.Add($"{name} has no floor: give it one in this test and in docs/ARCHITECTURE.md");
                continue;
            }

            wrong.AddRange(References(path, "ProjectReference").Select(Path.GetFileNameWithoutExtension)
                .Where(r => !allowed.Contains(r)).Select(r => $"{name} must not use {r}"));
        }

        Verdict.None(wrong);
    }

    [Fact]
    public void OnlyTheServerTheProgramAndWhatFitsIntoOthersUsePackages()
    {
        var wrong = new List<string>();
        foreach (string path in Projects("src"))
        {
            string name = Path.GetFileNameWithoutExtension(path);
            if (name is not ("Kvasir.Server" or "Kvasir.Cli" or "Kvasir.Caching"))
                wrong.AddRange(References(path, "PackageReference").Select(r => $"{name} uses the package {r}"));
        }

        Verdict.None(wrong);
    }

    [Fact]
    public void TheDeterministicRoomsAreHeldByBannedSymbols()
    {
        string targets = File.ReadAllText(Path.Combine(SourceTree.Root, "src", "Directory.Build.targets"));
        foreach (string room in new[]
        {
            "Kvasir.Primitives", "Kvasir.Wire", "Kvasir.Storage", "Kvasir.Raft", "Kvasir.Cluster", "Kvasir.Simulation",
        })
            Assert.Contains($"'{room}'", targets, StringComparison.Ordinal);
        Assert.Contains("BannedSymbols.Deterministic.txt", targets, StringComparison.Ordinal);
        string banned = File.ReadAllText(Path.Combine(SourceTree.Root, "src", "BannedSymbols.Deterministic.txt"));
        foreach (string symbol in new[]
        {
            "P:System.DateTime.UtcNow", "T:System.Diagnostics.Stopwatch", "P:System.Random.Shared", "T:System.IO.File;",
            "T:System.Threading.Thread;", "T:System.Net.Sockets.Socket;", "M:System.Guid.NewGuid", "P:System.TimeProvider.System",
        })
            Assert.Contains(symbol, banned, StringComparison.Ordinal);
        string editor = File.ReadAllText(Path.Combine(SourceTree.Root, ".editorconfig"));
        Assert.Contains("dotnet_diagnostic.RS0030.severity = error", editor, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryProjectIsInTheSolution()
    {
        string solution = File.ReadAllText(Path.Combine(SourceTree.Root, "Kvasir.slnx"));
        foreach (string path in Projects("src").Concat(Projects("tests")))
            Assert.Contains(Path.GetRelativePath(SourceTree.Root, path).Replace('\\', '/'), solution, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryPackageIsPinnedExactlyAndHasItsReasonOnPaper()
    {
        string paper = File.ReadAllText(Path.Combine(SourceTree.Root, "docs", "dependencies.md"));
        XDocument packages = XDocument.Load(Path.Combine(SourceTree.Root, "Directory.Packages.props"));
        foreach (XElement package in packages.Descendants("PackageVersion"))
        {
            string name = package.Attribute("Include")!.Value;
            Assert.Matches(@"^\[[^,\]]+\]$", package.Attribute("Version")!.Value);
            Assert.Contains($"`{name}`", paper, StringComparison.Ordinal);
        }
    }

    private static string[] Projects(string folder) =>
        Directory.GetFiles(Path.Combine(SourceTree.Root, folder), "*.csproj", SearchOption.AllDirectories);

    private static IEnumerable<string> References(string project, string kind) =>
        XDocument.Load(project).Descendants(kind).Select(e => e.Attribute("Include")!.Value.Replace('\\', '/'));
}
