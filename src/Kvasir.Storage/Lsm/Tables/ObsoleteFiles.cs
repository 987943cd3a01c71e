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
    /// <summary>Held while files are deleted; taken before <c>_lock</c>, which nobody holds while the disk works.</summary>
    private readonly Lock _purging = new();
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
        lock (_purging)
        {
            while (TryTake(out TableFile? table))
            {
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
        lock (_purging)
        {
            lock (_lock)
                _stopped = true;
        }
    }

    private bool TryTake([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TableFile? table)
    {
        lock (_lock)
        {
            table = _stopped || _dropped.Count == 0 ? null : _dropped[^1];
            if (table is not null)
                _dropped.RemoveAt(_dropped.Count - 1);
            return table is not null;
        }
    }
}
