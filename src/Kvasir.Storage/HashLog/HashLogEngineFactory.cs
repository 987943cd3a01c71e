using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog;

/// <summary>Opens hash logs, with the options given or those that suit the memory they share.</summary>
/// <param name="options">Null for those that suit the memory.</param>
/// <param name="openFilesMax">Instead of the options' own <see cref="HashLogOptions.OpenFilesMax"/>.</param>
public sealed class HashLogEngineFactory(HashLogOptions? options = null, int? openFilesMax = null) : IEngineFactory
{
    public string Name => "log";

    public IStorageEngine Open(string folder, EngineEnvironment environment)
    {
        HashLogOptions chosen = OptionsIn(environment.Memory);
        return HashLogEngine.Open(folder, environment, openFilesMax is { } most ? chosen with { OpenFilesMax = most } : chosen);
    }

    public EngineLimits LimitsIn(MemoryBudget memory) =>
        EngineLimits.None with { KeysMax = HashLogEngine.KeysIn(Math.Min(OptionsIn(memory).IndexBytes, memory.IndexLimitBytes)) };

    public string? FindMissing(IFileSystem files, string folder)
    {
        if (!files.FolderExists(folder))
            return folder;
        string manifest = LogFiles.Join(folder, LogFiles.ManifestName);
        return files.FileExists(manifest) ? null : manifest;
    }

    public LogPosition ReadFlushedPosition(IFileSystem files, string folder) =>
        FindMissing(files, folder) is null ? ManifestStore.Load(files, folder).FlushedPosition : LogPosition.Zero;

    private HashLogOptions OptionsIn(MemoryBudget memory) => options ?? HashLogOptions.ForMemory(memory.TotalBytes);
}
