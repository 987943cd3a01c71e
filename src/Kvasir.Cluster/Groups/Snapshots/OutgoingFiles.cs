using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// The files of a replica as they were at one moment, for a snapshot: a checkpoint in a folder of its own, which goes when it is
/// abandoned. Inside the mailbox, but for its work, which is done in the background.
/// </summary>
/// <param name="files">The disk.</param>
/// <param name="scheduler">Where the work is done.</param>
/// <param name="checkpoint">Of the moment; owned by this from now on.</param>
/// <param name="folder">Is made.</param>
/// <param name="engine">The word of the engine's factory.</param>
/// <param name="made">Any thread: <see cref="TryTake"/> has something to say.</param>
internal sealed class OutgoingFiles(
    IFileSystem files, IScheduler scheduler, EngineCheckpoint checkpoint, string folder, string engine, Action made) : IBackgroundJob
{
    private readonly Lock _lock = new();

    // Under the lock.
    private FileContent? _content;
    private bool _isStarted;
    private bool _isDone;
    private bool _isAbandoned;

    public string Name => "the files of a snapshot";

    /// <summary>The work begins when it need not wait for a flush.</summary>
    public void Begin() => checkpoint.WhenInFiles(Start);

    /// <summary>True when the work is done; null where nothing came of it. What there is becomes the caller's, and is there once.</summary>
    public bool TryTake(out FileContent? content)
    {
        lock (_lock)
        {
            (content, _content) = (_content, null);
            return _isDone;
        }
    }

    /// <summary>The folder goes, now or when the work is done. What was taken is disposed of.</summary>
    /// <param name="stops">The node stops: what is left goes at the next start.</param>
    public void Abandon(bool stops)
    {
        lock (_lock)
        {
            if (_isAbandoned)
                return;
            _isAbandoned = true;
            if (_isStarted && !_isDone)
                return;
        }

        if (_isStarted && stops)
            _content?.Dispose();
        else if (_isStarted)
            scheduler.Schedule(new RemovalJob(this), JobPriority.Copy);
        else
            checkpoint.Dispose();
    }

    /// <summary>
    /// As <see cref="Abandon"/>, when the files were not taken: first it is looked whether they are damaged here. A log that has the entries
    /// brings the other one up without them, and nobody would look.
    /// </summary>
    /// <param name="folders">Knows such files.</param>
    /// <param name="origin">Where they were linked from.</param>
    /// <param name="damaged">Any thread: one of them is not whole.</param>
    public void Examine(ISnapshotFolders folders, string origin, Action<CorruptionException> damaged)
    {
        lock (_lock)
        {
            if (_isAbandoned || !_isDone)
                return;
            _isAbandoned = true;
        }

        scheduler.Schedule(new ExaminationJob(this, folders, origin, damaged), JobPriority.Copy);
    }

    public void Run()
    {
        FileContent? content = null;
        try
        {
            FolderTree.Build(files, folder, () => checkpoint.WriteTo(folder));
            content = new FileContent(files, folder, engine);
        }
        catch (Exception e) when (e is StorageException or ObjectDisposedException)
        {
            // Rows tell what is wrong, where something is.
        }

        checkpoint.Dispose();
        bool isAbandoned;
        lock (_lock)
        {
            _isDone = true;
            isAbandoned = _isAbandoned;
            _content = isAbandoned ? null : content;
        }

        if (isAbandoned)
        {
            content?.Dispose();
            Remove();
        }
        else
        {
            made();
        }
    }

    private void Start()
    {
        lock (_lock)
        {
            if (_isAbandoned)
                return;
            _isStarted = true;
        }

        scheduler.Schedule(this, JobPriority.Copy);
    }

    private IEnumerable<string> ListFiles() => files.ListFiles(folder);

    private void Verify(ISnapshotFolders folders, string name) => folders.VerifyCopied(folder + "/" + name, engine);

    private void Schedule(IBackgroundJob job) => scheduler.Schedule(job, JobPriority.Copy);

    /// <summary>What is linked is one file, and this folder is gone in a moment.</summary>
    private CorruptionException AsOf(string origin, CorruptionException cause) => new(cause.Message.Replace(folder, origin, StringComparison.Ordinal), cause);

    private void Remove()
    {
        lock (_lock)
        {
            _content?.Dispose();
            _content = null;
        }

        try
        {
            FolderTree.Remove(files, folder);
        }
        catch (StorageException)
        {
            // What is left goes at the next start.
        }
    }

    private sealed class ExaminationJob(OutgoingFiles outgoing, ISnapshotFolders folders, string origin, Action<CorruptionException> damaged) : IBackgroundJob
    {
        private Queue<string>? _names;

        public string Name => "looking at files that were not taken";

        /// <summary>One of them; the others come behind the work of others.</summary>
        public void Run()
        {
            if (!IsWholeSoFar() || _names!.Count == 0)
                outgoing.Remove();
            else
                outgoing.Schedule(this);
        }

        private bool IsWholeSoFar()
        {
            try
            {
                _names ??= new Queue<string>(outgoing.ListFiles());
                if (_names.TryDequeue(out string? name))
                    outgoing.Verify(folders, name);
                return true;
            }
            catch (CorruptionException e)
            {
                damaged(outgoing.AsOf(origin, e));
                return false;
            }
            catch (StorageException)
            {
                // Of files that cannot be read now nothing is known.
                return false;
            }
        }
    }

    private sealed class RemovalJob(OutgoingFiles outgoing) : IBackgroundJob
    {
        public string Name => "removing the files of a snapshot";

        public void Run() => outgoing.Remove();
    }
}
