using System.Globalization;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Files;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>SAVE and BGSAVE: a checkpoint under the data folder, the newest of which is kept. Thread-safe.</summary>
internal sealed class CheckpointKeeper(
    IFileSystem files, string folder, Action<string> checkpoint, TimeProvider time, ILogger logger) : ISnapshotter
{
    private int _running;
    private long _lastSaveSeconds = time.GetUtcNow().ToUnixTimeSeconds();
    private volatile string? _lastFailure;

    public long LastSaveSeconds => Volatile.Read(ref _lastSaveSeconds);

    public bool IsRunning => Volatile.Read(ref _running) != 0;

    public string? LastFailure => _lastFailure;

    public bool TryBegin()
    {
        if (Interlocked.CompareExchange(ref _running, 1, 0) != 0)
            return false;
        _ = Task.Run(Run);
        return true;
    }

    private void Run()
    {
        string name = time.GetUtcNow().ToUnixTimeMilliseconds().ToString("D15", CultureInfo.InvariantCulture);
        try
        {
            files.CreateFolder(folder);
            checkpoint(folder + "/" + name);
            foreach (string old in files.ListFolders(folder))
            {
                if (string.CompareOrdinal(old, name) < 0 && old.Length == name.Length)
                    FolderTree.Remove(files, folder + "/" + old);
            }

            Volatile.Write(ref _lastSaveSeconds, time.GetUtcNow().ToUnixTimeSeconds());
            _lastFailure = null;
            HostLog.CheckpointDone(logger, folder + "/" + name);
        }
        catch (StorageException e)
        {
            string failure = e.Message.ReplaceLineEndings(" ");
            _lastFailure = failure;
            HostLog.CheckpointFailed(logger, failure);
            DeleteUnfinished(folder + "/" + name);
        }
        finally
        {
            Volatile.Write(ref _running, 0);
        }
    }

    /// <summary>Its links would keep the space of files that the node has done with.</summary>
    private void DeleteUnfinished(string path)
    {
        try
        {
            FolderTree.Remove(files, path);
        }
        catch (StorageException e)
        {
            HostLog.CheckpointFailed(logger, e.Message.ReplaceLineEndings(" "));
        }
    }
}
