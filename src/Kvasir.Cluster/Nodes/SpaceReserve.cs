using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// A file of no use but its size, kept for the day when the disk is full: what can only be got back by writing (a deletion
/// needs a log record, then a flush and a compaction) finds room when the file is let go. Thread-safe.
/// </summary>
/// <param name="files">The disk.</param>
/// <param name="path">The file.</param>
/// <param name="bytes">Its length; 0 for none: then there is never anything to let go, and nothing to wait for.</param>
internal sealed class SpaceReserve(IFileSystem files, string path, long bytes)
{
    public const string Name = "RESERVE";

    private readonly Lock _lock = new();
    private bool _held;

    /// <summary>The file is known to be there, or none is wanted.</summary>
    public bool IsHeld => bytes == 0 || Volatile.Read(ref _held);

    /// <summary>True when the file is there, or could be made.</summary>
    public bool TryHold()
    {
        if (bytes == 0)
            return true;
        lock (_lock)
        {
            if (!_held && files.FileExists(path))
            {
                // Shorter after a crash, or made when there was less to share.
                _held = files.FileLength(path) >= bytes;
                if (!_held)
                    files.Delete(path);
            }

            _held = _held || TryMake();
            return _held;
        }
    }

    /// <summary>True when there was a file to let go.</summary>
    public bool TryLetGo()
    {
        if (bytes == 0)
            return false;
        lock (_lock)
        {
            _held = false;
            if (!files.FileExists(path))
                return false;
            files.Delete(path);
            return true;
        }
    }

    // Under its name from the start and never synced: one that a crash left shorter is shorter, no more.
    private bool TryMake()
    {
        try
        {
            using IFile file = files.Open(path, FileOpenMode.CreateNew);
            file.Allocate(bytes);
            return true;
        }
        catch (DiskFullException)
        {
            if (files.FileExists(path))
                files.Delete(path);
            return false;
        }
    }
}
