using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// Deletes tables that no set names any more, in the background: the last to let go of a set may be a reader, who
/// should not wait for the disk. What cannot be deleted is left to the next opening. Thread-safe.
/// </summary>
internal sealed class ObsoleteFiles : IBackgroundJob
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly TableCache _tables;
    private readonly IScheduler _scheduler;
    private readonly Lock _lock = new();
    private readonly List<TableFile> _dropped = [];
    private bool _scheduled;
    private bool _stopped;

    public ObsoleteFiles(IFileSystem files, string folder, TableCache tables, IScheduler scheduler)
    {
        _files = files;
        _folder = folder;
        _tables = tables;
        _scheduler = scheduler;
    }

    public string Name => "delete tables";

    public void Drop(TableFile table)
    {
        lock (_lock)
        {
            // After the store was closed its sets go too, but their tables are not obsolete.
            if (_stopped)
            {
                _tables.Close(table);
                return;
            }

            _dropped.Add(table);
            if (_scheduled)
                return;
            _scheduled = true;
        }

        _scheduler.Schedule(this, JobPriority.Compaction);
    }

    public void Run()
    {
        lock (_lock)
            _scheduled = false;
        Purge();
    }

    public void Purge()
    {
        while (true)
        {
            TableFile table;
            lock (_lock)
            {
                if (_stopped || _dropped.Count == 0)
                    return;
                table = _dropped[^1];
                _dropped.RemoveAt(_dropped.Count - 1);
                _tables.Close(table);
                try
                {
                    _files.Delete(TableFiles.TablePath(_folder, table.Number));
                }
                catch (StorageException)
                {
                    // No manifest names it; the next opening removes it.
                }
            }
        }
    }

    /// <summary>From now on nothing is deleted.</summary>
    public void Stop()
    {
        lock (_lock)
            _stopped = true;
    }
}
