using Kvasir.Primitives;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Cli.DataFiles;

/// <summary>How each engine's files are looked at without opening it: one of these for each engine.</summary>
internal sealed record EngineFiles(
    string Name,
    Func<IFileSystem, string, bool> Knows,
    Func<IFileSystem, string, LogPosition> FlushedPosition,
    EngineFiles.Verifier Verify)
{
    private static readonly EngineFiles[] s_all =
    [
        new("log", LogVerifier.Knows, LogVerifier.FlushedPosition, LogVerifier.Verify),
        new("btree", TreeVerifier.Knows, TreeVerifier.FlushedPosition, TreeVerifier.Verify),
        new("lsm", TableVerifier.Knows, TableVerifier.FlushedPosition, TableVerifier.Verify),
    ];

    public delegate IReadOnlyList<DamageFinding> Verifier(
        IFileSystem files, string folder, Action<string, long>? progress, bool mustExist, EngineOwner owner, List<DamageFinding>? findings);

    /// <summary>The engine whose files lie in the folder; null where there are none of any.</summary>
    public static EngineFiles? Of(IFileSystem files, string folder) =>
        files.FolderExists(folder) ? Array.Find(s_all, e => e.Knows(files, folder)) : null;

    /// <summary>The engine that keyspaces and stores call so; null where this Kvasir has none of that name.</summary>
    public static EngineFiles? Named(string name) => Array.Find(s_all, e => e.Name == name);

    public static string NoneIn(string folder) => $"{folder} has the files of no engine: neither CURRENT nor HASHLOG nor tree";
}
