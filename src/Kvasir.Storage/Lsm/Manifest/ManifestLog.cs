using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>
/// The manifest in use: opened closed-on-failure, appended to, renewed when it has grown or when a write to it failed.
/// One caller at a time, except for file numbers.
/// </summary>
internal sealed class ManifestLog : IDisposable
{
    private const long SizeBytesMin = 1 << 20;
    private const long GrowthMax = 8;

    private readonly IFileSystem _files;
    private readonly string _folder;

    /// <summary>Tables of edits that failed, which a manifest may still name until a new one is in place.</summary>
    private readonly List<ulong> _doubtful = [];

    private ManifestWriter? _writer;
    private ulong _lastFileNumber;

    private ManifestLog(IFileSystem files, string folder, ManifestState state)
    {
        _files = files;
        _folder = folder;
        State = state;
        _lastFileNumber = state.NextFileNumber - 1;
    }

    /// <summary>What is durable.</summary>
    public ManifestState State { get; private set; }

    public static ManifestLog Open(IFileSystem files, string folder, EngineOwner owner = default)
    {
        IReadOnlyList<string> names = files.ListFiles(folder);
        bool present = files.FileExists(TableFiles.Join(folder, TableFiles.CurrentName));

        // The name may be in the page cache only, from an opening that was killed: what follows builds on it.
        if (present)
            files.SyncFolder(folder);
        if (!present)
        {
            RefuseUnlessNew(folder, names);
            names = [.. names.Where(name => !TableFiles.TryParseManifest(name, out _))];
            string unfinished = TableFiles.ManifestPath(folder, 1);
            if (files.FileExists(unfinished))
                files.Delete(unfinished);
        }

        ManifestState state = present ? Load(files, folder) : new ManifestState();
        if (FindOtherOwner(files, folder, state, owner) is { } stranger)
            throw new CorruptionException(stranger.Path, stranger.Offset, stranger.Detail);
        bool isKept = present && (owner.IsNone || state.Owner == owner) && NamesAll(files, folder, names, state);
        if (!owner.IsNone)
            state.Owner = owner;
        CheckTables(files, folder, state);
        if (isKept)
        {
            // The first commit makes a new manifest: a node that has hundreds of engines would begin with hundreds of them.
            SyncCurrent(files, folder);
            return new ManifestLog(files, folder, state);
        }

        foreach (string name in names)
        {
            if (TableFiles.TryParseTable(name, out ulong number) || TableFiles.TryParseManifest(name, out number))
                state.NextFileNumber = Math.Max(state.NextFileNumber, number + 1);
        }

        var log = new ManifestLog(files, folder, state);
        try
        {
            // A new manifest after every opening: nothing is ever appended behind a torn end.
            log.Renew(state);
        }
        catch (DiskFullException) when (present)
        {
            // Reads can be served; the next commit tries again. An edit without a mark may be in the page cache only, and
            // until a new manifest holds it nobody may rely on it. On one with a mark others rely from now on: the mark itself, which may be
            // there only, too, must be found by the next opening.
            SyncCurrent(files, folder);
            return new ManifestLog(files, folder, Load(files, folder, marked: true)) { _lastFileNumber = log._lastFileNumber };
        }
        catch
        {
            // The new one may be open already: what was refused was the list of those before it.
            log.Dispose();
            throw;
        }

        log.DeleteLeftovers(names);
        return log;
    }

    /// <summary>Writes the manifest of a folder that holds the tables of <paramref name="state"/> already.</summary>
    public static void CreateFor(IFileSystem files, string folder, ManifestState state)
    {
        ulong number = state.NextFileNumber++;
        files.SyncFolder(folder);
        ManifestWriter.Create(files, folder, number, state.ToSnapshot()).Dispose();
    }

    /// <summary>
    /// The state that CURRENT's manifest tells; with <paramref name="marked"/>, without an edit that no mark says to be
    /// durable. Reads only.
    /// </summary>
    public static ManifestState Load(IFileSystem files, string folder, bool marked = false)
    {
        ulong number = ManifestFormat.ReadCurrent(files, folder);
        string path = TableFiles.ManifestPath(folder, number);
        if (!files.FileExists(path))
            throw new FileMissingException(path);
        var state = new ManifestState();
        foreach (ManifestRecord record in ManifestReader.Read(files, folder, number, marked))
            state.Apply(record.Edit, path, record.Offset);
        state.NextFileNumber = Math.Max(state.NextFileNumber, number + 1);
        return state;
    }

    /// <summary>What is wrong with a folder that says that it is another owner's; null for nothing.</summary>
    public static DamageFinding? FindOtherOwner(IFileSystem files, string folder, ManifestState state, EngineOwner owner) =>
        owner.IsNone || state.Owner.IsNone || state.Owner == owner
            ? null
            : new DamageFinding(
                TableFiles.ManifestPath(folder, ManifestFormat.ReadCurrent(files, folder)), 0, $"the folder is {state.Owner}, and stands in the place of {owner}");

    /// <summary>Thread-safe.</summary>
    public ulong NewFileNumber() => Interlocked.Increment(ref _lastFileNumber);

    /// <summary>
    /// Returns when the edit is durable. When it fails it may or may not be found after a crash; either way the state
    /// here stays as it was, and the files of both sides stay until a later commit has succeeded.
    /// </summary>
    public ManifestState Commit(TableSetEdit edit)
    {
        edit.NextFileNumber = Volatile.Read(ref _lastFileNumber) + 1;
        ManifestState next = State.With(edit, _folder, 0);
        try
        {
            if (_writer is null || _writer.SizeBytes > Math.Max(SizeBytesMin, _writer.SnapshotBytes * GrowthMax))
                Renew(next);
            else
                _writer.Append(edit);
        }
        catch
        {
            _writer?.Dispose();
            _writer = null;
            foreach (ManifestTable table in edit.Added)
            {
                if (!State.Contains(table.Number))
                    _doubtful.Add(table.Number);
            }

            throw;
        }

        State = next;
        return next;
    }

    public void Dispose()
    {
        _writer?.Dispose();
        _writer = null;
    }

    private void Renew(ManifestState state)
    {
        ulong number = NewFileNumber();
        state.NextFileNumber = Math.Max(state.NextFileNumber, number + 1);
        ManifestWriter writer = ManifestWriter.Create(_files, _folder, number, state.ToSnapshot());
        _writer?.Dispose();
        _writer = writer;
        foreach (string name in _files.ListFiles(_folder))
        {
            if (TableFiles.TryParseManifest(name, out ulong old) && old != number)
                TryDelete(name);
        }

        foreach (ulong table in _doubtful)
        {
            if (!state.Contains(table))
                TryDelete(TableFiles.TableName(table));
        }

        _doubtful.Clear();
    }

    private void DeleteLeftovers(IReadOnlyList<string> names)
    {
        foreach (string name in names)
        {
            if (name == TableFiles.CurrentTemporaryName || (TableFiles.TryParseTable(name, out ulong number) && !State.Contains(number)))
                TryDelete(name);
        }
    }

    private void TryDelete(string name)
    {
        try
        {
            string path = TableFiles.Join(_folder, name);
            if (_files.FileExists(path))
                _files.Delete(path);
        }
        catch (StorageException)
        {
            // Nothing names it; the next opening tries again.
        }
    }

    /// <summary>
    /// Without CURRENT a folder is new, unless something says that there was one: a table, or a manifest other than
    /// the first, which a crash during the very first opening may leave.
    /// </summary>
    internal static void RefuseUnlessNew(string folder, IReadOnlyList<string> names)
    {
        foreach (string name in names)
        {
            if (TableFiles.TryParseTable(name, out _) || (TableFiles.TryParseManifest(name, out ulong number) && number > 1))
                throw new FileMissingException(TableFiles.Join(folder, TableFiles.CurrentName));
        }
    }

    private static void SyncCurrent(IFileSystem files, string folder)
    {
        using IFile current = files.Open(TableFiles.ManifestPath(folder, ManifestFormat.ReadCurrent(files, folder)), FileOpenMode.ReadWrite);
        current.Sync(SyncMode.Data);
    }

    /// <summary>Nothing was under way when the folder was left: a manifest whose end is a mark, and no file that it does not name.</summary>
    private static bool NamesAll(IFileSystem files, string folder, IReadOnlyList<string> names, ManifestState state)
    {
        ulong current = ManifestFormat.ReadCurrent(files, folder);
        foreach (string name in names)
        {
            bool isStranger = TableFiles.TryParseTable(name, out ulong number) ? !state.Contains(number)
                : TableFiles.TryParseManifest(name, out number) ? number != current : name == TableFiles.CurrentTemporaryName;
            if (isStranger)
                return false;
        }

        return ManifestReader.EndsWithMark(files, folder, current);
    }

    private static void CheckTables(IFileSystem files, string folder, ManifestState state)
    {
        foreach (ManifestTable table in state.Tables)
        {
            string path = TableFiles.TablePath(folder, table.Number);
            if (!files.FileExists(path))
                throw new FileMissingException(path);
            long length = files.FileLength(path);
            if (length != table.SizeBytes)
                throw new CorruptionException(path, Math.Min(length, table.SizeBytes), $"the file has {length} bytes, the manifest says {table.SizeBytes}");
            using IFile file = files.Open(path, FileOpenMode.Read);
            SSTableFooter footer = SSTableReader.ReadIdentity(file, table.Number);

            // Number and length may be those of a table of another engine, or of a copy of this one.
            if (!SSTableReader.ReadProperties(file, footer, table.Number).IsSameAs(table.Properties))
                throw new CorruptionException(path, footer.Properties.Offset, "this is another table than the manifest names, with the same number");
        }
    }
}
