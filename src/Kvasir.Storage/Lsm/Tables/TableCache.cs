using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// The open table files of one store, at most a fixed number, and with their indexes and filters at most half of what
/// the memory budget leaves for caches. Beyond either, the one not used lately is closed (the clock algorithm); readers
/// that are reading it finish first. Thread-safe.
/// </summary>
internal sealed class TableCache
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly BlockCache _blocks;
    private readonly int _openMax;
    private readonly bool _verify;
    private readonly Lock _lock = new();
    private readonly List<TableFile> _open = [];
    private int _hand;
    private long _memoryBytes;
    private bool _isClosed;

    public TableCache(IFileSystem files, string folder, BlockCache blocks, int openMax, bool verify)
    {
        _files = files;
        _folder = folder;
        _blocks = blocks;
        _openMax = Math.Max(1, openMax);
        _verify = verify;
    }

    public int OpenCount
    {
        get
        {
            lock (_lock)
                return _open.Count;
        }
    }

    public BlockCache Blocks => _blocks;

    public ulong NewFileId() => _blocks.NewFileId();

    public SSTableReader Open(TableFile table)
    {
        lock (_lock)
        {
            if (table.Reader is { } present && present.TryAddReference())
                return present;
            MakeRoom(0);
            IFile file = OpenFile(table.Number);
            SSTableReader reader = SSTableReader.Open(file, table.Number, table.FileId, _blocks, _verify);
            _memoryBytes += reader.MemoryBytes;
            MakeRoom(1);
            reader.TryAddReference();
            table.RecentlyUsed = true;
            table.Reader = reader;
            _open.Add(table);
            return reader;
        }
    }

    /// <summary>Forgets a table that is no longer in any set.</summary>
    public void Close(TableFile table)
    {
        lock (_lock)
        {
            int at = _open.IndexOf(table);
            if (at >= 0)
                CloseAt(at);
        }
    }

    public void CloseAll()
    {
        lock (_lock)
        {
            _isClosed = true;
            while (_open.Count > 0)
                CloseAt(_open.Count - 1);
        }
    }

    /// <summary>A walk may outlive its store, and whoever closed that may have removed its folder.</summary>
    private IFile OpenFile(ulong number)
    {
        try
        {
            return _files.Open(TableFiles.TablePath(_folder, number), FileOpenMode.Read);
        }
        catch (FileMissingException missing) when (_isClosed)
        {
            throw new ObjectDisposedException($"the tables of {_folder} are closed, and their files are gone", missing);
        }
    }

    private void MakeRoom(int opening)
    {
        long memoryMax = _blocks.Budget.CacheLimitBytes / 2;
        while (_open.Count > 0 && (_open.Count + Math.Max(opening, 1) > _openMax || _memoryBytes > memoryMax))
        {
            if (_hand >= _open.Count)
                _hand = 0;
            TableFile table = _open[_hand];
            if (table.RecentlyUsed)
            {
                table.RecentlyUsed = false;
                _hand++;
                continue;
            }

            CloseAt(_hand);
        }

        _blocks.Trim();
    }

    private void CloseAt(int at)
    {
        TableFile table = _open[at];
        _open[at] = _open[^1];
        _open.RemoveAt(_open.Count - 1);
        SSTableReader reader = table.Reader!;
        table.Reader = null;
        _memoryBytes -= reader.MemoryBytes;
        reader.Release();
    }
}

/// <summary>Names of the files in a table folder.</summary>
internal static class TableFiles
{
    public const string CurrentName = "CURRENT";
    public const string CurrentTemporaryName = CurrentName + AtomicFile.MakingSuffix;
    public const string TableSuffix = ".sst";
    public const string ManifestPrefix = "MANIFEST-";

    public static string TableName(ulong number) => $"{number:D8}{TableSuffix}";

    public static string TablePath(string folder, ulong number) => Join(folder, TableName(number));

    public static string ManifestName(ulong number) => $"{ManifestPrefix}{number:D8}";

    public static string ManifestPath(string folder, ulong number) => Join(folder, ManifestName(number));

    public static string Join(string folder, string name) => System.IO.Path.Join(folder, name);

    public static bool TryParseTable(string name, out ulong number)
    {
        number = 0;
        return name.EndsWith(TableSuffix, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, name.Length - TableSuffix.Length), System.Globalization.NumberStyles.None, null, out number);
    }

    public static bool TryParseManifest(string name, out ulong number)
    {
        number = 0;
        return name.StartsWith(ManifestPrefix, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(ManifestPrefix.Length), System.Globalization.NumberStyles.None, null, out number);
    }
}
