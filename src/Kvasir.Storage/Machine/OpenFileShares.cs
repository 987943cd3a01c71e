using Kvasir.Primitives;

namespace Kvasir.Storage.Machine;

/// <summary>
/// How the files that a process may have open (RLIMIT_NOFILE) are shared: what it cannot work without, tables and
/// segments that engines keep open, and connections of HTTP and of clients. Without a share of their own, clients could take the file that the
/// journal's next segment needs, and that would be a failed disk.
/// </summary>
/// <param name="TablesPerEngine">Files of tables, or of a log's segments, that each engine may keep open.</param>
/// <param name="Http">Connections to HTTP at once.</param>
/// <param name="Clients">Connections of clients at once.</param>
public sealed record OpenFileShares(int TablesPerEngine, int Http, int Clients)
{
    private const int TablesPerEngineMin = 4;
    private const int TablesPerEngineMax = 1000;

    // A manifest and its successor, a table that is written and one that is read for it.
    private const int FilesPerEngine = 4;

    // One part in so many of what is left: a process that may have few files still serves clients.
    private const int HttpShare = 8;

    // The journal, folders that are synced, event loops, what the runtime has not opened yet.
    private const int Others = 48;

    /// <summary>For this process, now.</summary>
    public static OpenFileShares Of(int engines, int http) =>
        Of(LibC.OpenFilesMax(), Directory.GetFileSystemEntries("/proc/self/fd").Length, engines, http);

    /// <param name="limit">Files that may be open.</param>
    /// <param name="open">Files that are.</param>
    /// <param name="engines">Engines that will be.</param>
    /// <param name="http">Connections to HTTP that are wanted at most; none where it is not served.</param>
    public static OpenFileShares Of(long limit, int open, int engines, int http)
    {
        Check.That(engines > 0 && http >= 0);
        long left = limit - open - Others - (engines * (long)FilesPerEngine);
        int pages = http == 0 ? 0 : (int)Math.Clamp(left / HttpShare, 1, http);
        left -= pages;
        int tables = (int)Math.Clamp(left / 4 / engines, TablesPerEngineMin, TablesPerEngineMax);
        return new OpenFileShares(tables, pages, (int)Math.Clamp(left - (tables * (long)engines), 1, int.MaxValue));
    }
}
