using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm;

/// <summary>Opens log-structured merge trees, with the options given or those that suit the memory they share.</summary>
public sealed class LsmEngineFactory : IEngineFactory
{
    private readonly LsmOptions? _options;
    private readonly int? _openFilesMax;

    /// <param name="options">Null for those that suit the memory.</param>
    /// <param name="openFilesMax">Instead of the options' own <see cref="LsmOptions.OpenFilesMax"/>.</param>
    public LsmEngineFactory(LsmOptions? options = null, int? openFilesMax = null)
    {
        _options = options;
        _openFilesMax = openFilesMax;
    }

    public string Name => "lsm";

    public IStorageEngine Open(string folder, EngineEnvironment environment) => OpenOrdered(folder, environment);

    public string? FindMissing(IFileSystem files, string folder)
    {
        if (!files.FolderExists(folder))
            return folder;
        string current = TableFiles.Join(folder, TableFiles.CurrentName);
        return files.FileExists(current) ? null : current;
    }

    public LogPosition ReadFlushedPosition(IFileSystem files, string folder) =>
        FindMissing(files, folder) is null ? ManifestLog.Load(files, folder).FlushedPosition : LogPosition.Zero;

    public bool ShipsFiles => true;

    /// <remarks>What a manifest says is checked when that is opened.</remarks>
    public IReadOnlyList<DamageFinding> VerifyFile(IFileSystem files, string path) =>
        TableFiles.TryParseTable(Path.GetFileName(path), out _) ? TableVerifier.VerifyTable(files, path) : [];

    /// <summary>As <see cref="Open"/>, for callers that need the order of keys.</summary>
    public IOrderedEngine OpenOrdered(string folder, EngineEnvironment environment)
    {
        LsmOptions options = _options ?? LsmOptions.ForMemory(environment.Memory.TotalBytes);
        if (_openFilesMax is { } openFiles)
            options = options with { OpenFilesMax = openFiles };
        return new BufferedEngine(TableStore.Open(folder, environment, options), environment, options);
    }
}
