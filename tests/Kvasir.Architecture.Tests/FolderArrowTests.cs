using System.Text.RegularExpressions;

namespace Kvasir.Architecture.Tests;

/// <summary>The arrows between folders, read from namespaces and imports.</summary>
public sealed partial class FolderArrowTests
{
    private static readonly string[] s_engines = ["Kvasir.Storage.Lsm", "Kvasir.Storage.HashLog", "Kvasir.Storage.BTree"];

    private static readonly string[] s_protocols =
        ["Kvasir.Server.Resp", "Kvasir.Server.Postgres", "Kvasir.Server.Http", "Kvasir.Server.WebConsole"];

    // Where the system may be called: the disk, the event loop of the sockets, the program; and the two files that give
    // the kernel a hint about memory and about turns, which no behaviour depends on.
    private static readonly string[] s_systemFolders =
        ["src/Kvasir.Storage/Machine/", "src/Kvasir.Server/Transport/", "src/Kvasir.Cli/", "src/Kvasir.Primitives/BulkMemory.cs",
            "src/Kvasir.Primitives/ThreadSlice.cs"];

    [Fact]
    public void EnginesNeverNameEachOther() => Verdict.None(NamedAcross(s_engines));

    [Fact]
    public void ProtocolsNeverNameEachOther() => Verdict.None(NamedAcross(s_protocols));

    [Fact]
    public void NothingBelowTheServerNamesAnEngine() =>
        Verdict.None(SourceTree.CSharp("src")
            .Where(f => !f.Path.StartsWith("src/Kvasir.Storage/", StringComparison.Ordinal)
                && !f.Path.StartsWith("src/Kvasir.Cli/", StringComparison.Ordinal)
                && !f.Path.StartsWith("src/Kvasir.Server/", StringComparison.Ordinal))
            .Where(f => s_engines.Any(e => Names(f, e)))
            .Select(f => $"{f.Path} names an engine: engines are handed in"));

    [Fact]
    public void TheContractsOfStorageNameNoEngineAndNoMachine() =>
        Verdict.None(SourceTree.CSharp("src/Kvasir.Storage")
            .Where(f => f.Folder is "src/Kvasir.Storage/Engines" or "src/Kvasir.Storage/Files"
                or "src/Kvasir.Storage/Scheduling" or "src/Kvasir.Storage/Journal")
            .Where(f => s_engines.Append("Kvasir.Storage.Machine").Any(n => Names(f, n)))
            .Select(f => f.Path));

    [Fact]
    public void OnlyAProgramAndWhatIsEmbeddedInOnePickTheMachineAsTheirWorld() =>
        Verdict.None(SourceTree.CSharp("src")
            .Where(f => f.Folder is not ("src/Kvasir.Storage/Machine" or "src/Kvasir.Storage/Embedded") && !f.Path.StartsWith("src/Kvasir.Cli/", StringComparison.Ordinal))
            .Where(f => Names(f, "Kvasir.Storage.Machine"))
            .Select(f => $"{f.Path} names Kvasir.Storage.Machine"));

    [Fact]
    public void OnlyTheFoldersThatKnowTheMachineCallIt() =>
        Verdict.None(SourceTree.CSharp("src")
            .Where(f => !s_systemFolders.Any(s => f.Path.StartsWith(s, StringComparison.Ordinal)))
            .Where(f => SystemCall().IsMatch(f.Code))
            .Select(f => $"{f.Path} calls the system directly"));

    [Fact]
    public void NoTwoFoldersOfARoomNeedEachOther()
    {
        var uses = new SortedDictionary<string, SortedSet<string>>(StringComparer.Ordinal);
        SourceFile[] files = [.. SourceTree.CSharp("src").Where(f => f.Path.Split('/').Length > 3)];
        Dictionary<string, string> folderOf = files.GroupBy(f => f.Namespace, StringComparer.Ordinal)
            .ToDictionary(g => g.Key, g => g.First().Folder, StringComparer.Ordinal);
        foreach (SourceFile file in files)
        {
            foreach (string used in file.Usings)
            {
                if (folderOf.TryGetValue(used, out string? folder) && folder != file.Folder
                    && folder.Split('/')[1] == file.Path.Split('/')[1])
                {
                    if (!uses.TryGetValue(file.Folder, out SortedSet<string>? set))
                        uses[file.Folder] = set = new SortedSet<string>(StringComparer.Ordinal);
                    set.Add(folder);
                }
            }
        }

        string[] circles = [.. uses.Keys.Select(start => Circle(uses, start)).OfType<string>().Distinct(StringComparer.Ordinal)];
        Verdict.None(circles);
    }

    [Fact]
    public void NamespacesFollowFolders() =>
        Verdict.None(SourceTree.CSharp("src")
            .Where(f => f.Namespace.Length > 0 && f.Namespace != Path.GetDirectoryName(f.Path)!.Replace('\\', '/')["src/".Length..].Replace('/', '.'))
            .Select(f => $"{f.Path} declares {f.Namespace}"));

    [GeneratedRegex(@"\[\s*(DllImport|LibraryImport)\b")]
    private static partial Regex SystemCall();

    private static IEnumerable<string> NamedAcross(string[] namespaces) =>
        from file in SourceTree.CSharp("src")
        from home in namespaces
        where file.Namespace == home || file.Namespace.StartsWith(home + ".", StringComparison.Ordinal)
        from other in namespaces
        where other != home && Names(file, other)
        select $"{file.Path} names {other}";

    private static bool Names(SourceFile file, string name) =>
        file.Usings.Any(u => u == name || u.StartsWith(name + ".", StringComparison.Ordinal))
        || Regex.IsMatch(file.Code, $@"\b{Regex.Escape(name)}\b");

    /// <summary>The folders that can be reached from the start and reach it, in order; null when there are none.</summary>
    private static string? Circle(SortedDictionary<string, SortedSet<string>> uses, string start)
    {
        SortedSet<string> circle = new(Reachable(uses, start).Where(f => Reachable(uses, f).Contains(start)), StringComparer.Ordinal);
        return circle.Contains(start) ? string.Join(" <-> ", circle) : null;
    }

    private static HashSet<string> Reachable(SortedDictionary<string, SortedSet<string>> uses, string start)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var next = new Stack<string>([start]);
        while (next.TryPop(out string? at))
        {
            if (!uses.TryGetValue(at, out SortedSet<string>? targets))
                continue;
            foreach (string target in targets)
            {
                if (seen.Add(target))
                    next.Push(target);
            }
        }

        return seen;
    }
}
