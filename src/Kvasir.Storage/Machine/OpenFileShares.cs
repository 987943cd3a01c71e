using Kvasir.Primitives;

namespace Kvasir.Storage.Machine;

/// <summary>
/// How the files that a process may have open (RLIMIT_NOFILE) are shared: what it cannot work without, tables that
/// engines keep open, and the connections of clients. Without a share of their own, clients could take the file that the
/// journal's next segment needs, and that would be a failed disk.
/// </summary>
/// <param name="TablesPerEngine">Table files that each engine may keep open.</param>
/// <param name="Clients">Connections at once.</param>
public sealed record OpenFileShares(int TablesPerEngine, int Clients)
{
    private const int TablesPerEngineMin = 4;
    private const int TablesPerEngineMax = 1000;

    // A manifest and its successor, a table that is written and one that is read for it.
    private const int FilesPerEngine = 4;

    // The journal, folders that are synced, event loops, what the runtime has not opened yet.
    private const int Others = 48;

    /// <summary>For this process, now.</summary>
    public static OpenFileShares Of(int engines) => Of(LibC.OpenFilesMax(), Directory.GetFileSystemEntries("/proc/self/fd").Length, engines);

    /// <param name="limit">Files that may be open.</param>
    /// <param name="open">Files that are.</param>
    /// <param name="engines">Engines that will be.</param>
    public static OpenFileShares Of(long limit, int open, int engines)
    {
        Check.That(engines > 0);
        long left = limit - open - Others - (engines * (long)FilesPerEngine);
        int tables = (int)Math.Clamp(left / 4 / engines, TablesPerEngineMin, TablesPerEngineMax);
        return new OpenFileShares(tables, (int)Math.Clamp(left - (tables * (long)engines), 1, int.MaxValue));
    }
}
