using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// A snapshot of an engine's files, which are written in the background as they come; when all are there, and whole, and durable, they are
/// opened. Inside the mailbox, but for its work.
/// </summary>
/// <param name="group">Whose replica it is for.</param>
/// <param name="from">Who sends it.</param>
/// <param name="stream">Its number there.</param>
/// <param name="head">What it is of.</param>
/// <param name="engineName">The word of the engine's factory.</param>
/// <param name="folder">Is there, and empty.</param>
/// <param name="table">Which files come.</param>
/// <param name="folders">Opens what has come.</param>
/// <param name="scheduler">Where the work is done.</param>
/// <param name="moved">Any thread: more has been done.</param>
internal sealed class FileReceiver(
    RaftGroup group, NodeId from, ulong stream, SnapshotHead head, string engineName, string folder,
    IReadOnlyList<SnapshotFile> table, ISnapshotFolders folders, IScheduler scheduler, Action<FileReceiver> moved)
    : SnapshotReceiver(group, from, stream, head, engineName, folder), IBackgroundJob
{
    // What has come and is not written; enough for the disk and the network to work at one time.
    private const int WaitingMax = 3;

    private readonly Lock _lock = new();
    private readonly Queue<MessageBuffer> _waiting = [];
    private readonly long _bytes = table.Sum(static f => f.Length);

    // Of the job alone.
    private IFile? _file;
    private int _number = -1;
    private long _written;

    // So many of the files, all of which are whole, were looked at.
    private int _looked;

    // Under the lock.
    private CopyStage _stage;
    private IStorageEngine? _engine;
    private string? _failure;
    private Action? _discard;

    private enum CopyStage
    {
        /// <summary>For more to come; there is no job.</summary>
        Waiting,

        /// <summary>There is something to do, and one job for it, on its way or running.</summary>
        Working,

        /// <summary>The engine is there, and nobody has it yet.</summary>
        InFiles,

        /// <summary>Nothing becomes of it, which the sender is to be told.</summary>
        Failed,

        /// <summary>It was dropped while there was a job, which ends it.</summary>
        Leaving,

        /// <summary>Nothing is open; an engine that there was is somebody else's.</summary>
        Over,
    }

    public string Name => "writing a snapshot";

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.Files;

    public override long? BytesTotal => _bytes;

    public override bool TakesMore
    {
        get
        {
            lock (_lock)
                return _waiting.Count < WaitingMax;
        }
    }

    public override bool HasFailed
    {
        get
        {
            lock (_lock)
                return _stage == CopyStage.Failed;
        }
    }

    public override string? Failure
    {
        get
        {
            lock (_lock)
                return _failure;
        }
    }

    public override bool IsInFiles
    {
        get
        {
            lock (_lock)
                return _stage == CopyStage.InFiles;
        }
    }

    // Under the lock, and of the job's where there is one.
    private bool HasWork => _waiting.Count > 0 || _looked < _number || IsWhole;

    public override bool TryTake(ReadOnlySpan<byte> content, bool isLast)
    {
        // The first has said which files there are.
        if (Chunks == 0 ? !content.IsEmpty : content.IsEmpty || content.Length > _bytes - Bytes)
            return false;
        Bytes += content.Length;
        if (isLast != (Bytes == _bytes))
            return false;
        Chunks++;
        lock (_lock)
        {
            if (_stage == CopyStage.Failed)
                return false;
            Check.That(_stage is CopyStage.Waiting or CopyStage.Working && !IsWhole);
            if (!content.IsEmpty)
                _waiting.Enqueue(MessageBuffer.Copy(content));
            IsWhole = isLast;
            if (_stage == CopyStage.Working || !HasWork)
                return true;
            _stage = CopyStage.Working;
        }

        scheduler.Schedule(this, JobPriority.Copy);
        return true;
    }

    public override IStorageEngine TakeEngine()
    {
        lock (_lock)
        {
            Check.That(_stage == CopyStage.InFiles && _engine is not null);
            IStorageEngine engine = _engine;
            (_stage, _engine) = (CopyStage.Over, null);
            return engine;
        }
    }

    public override void Drop(Action? discard)
    {
        lock (_lock)
        {
            Check.That(_stage != CopyStage.Leaving);
            _discard = discard;
            if (_stage == CopyStage.Working)
            {
                _stage = CopyStage.Leaving;
                return;
            }
        }

        Leave();
    }

    /// <summary>A chunk, or a look at a file that is whole, or the end; what else there is to do comes behind the work of others.</summary>
    public void Run()
    {
        MessageBuffer? chunk;
        bool isEnd, isDropped;
        lock (_lock)
        {
            Check.That(_stage == CopyStage.Leaving || (_stage == CopyStage.Working && HasWork));
            isDropped = _stage == CopyStage.Leaving;
            isEnd = !_waiting.TryDequeue(out chunk) && IsWhole;
        }

        IStorageEngine? engine = null;
        string? failure = null;
        using (chunk)
        {
            try
            {
                if (!isDropped)
                    engine = Step(chunk, isEnd);
            }
            catch (StorageException e)
            {
                failure = e.Message;
            }
        }

        Ended(engine, failure);
    }

    private void Ended(IStorageEngine? engine, string? failure)
    {
        CopyStage stage;
        lock (_lock)
        {
            (_engine, _failure) = (engine, failure);
            if (_stage == CopyStage.Working)
                _stage = failure is not null ? CopyStage.Failed : engine is not null ? CopyStage.InFiles : HasWork ? CopyStage.Working : CopyStage.Waiting;
            stage = _stage;
        }

        if (stage == CopyStage.Leaving)
        {
            Leave();
            return;
        }

        moved(this);
        if (stage == CopyStage.Working)
            scheduler.Schedule(this, JobPriority.Copy);
    }

    /// <summary>There is no job, or it is this one.</summary>
    private void Leave()
    {
        IStorageEngine? engine;
        lock (_lock)
        {
            (engine, _engine, _stage) = (_engine, null, CopyStage.Over);
            while (_waiting.TryDequeue(out MessageBuffer? left))
                left.Dispose();
        }

        engine?.Dispose();
        _file?.Dispose();
        _file = null;
        _discard?.Invoke();
    }

    /// <summary>The engine, where this was the last step.</summary>
    private IStorageEngine? Step(MessageBuffer? chunk, bool isEnd)
    {
        if (chunk is not null)
            Write(chunk.Bytes);
        else if (_looked < (isEnd ? table.Count : _number))
            folders.VerifyCopied(Folder + "/" + table[_looked++].Name, EngineName);
        else
            return Open();
        return null;
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            while (_file is null || _written == table[_number].Length)
                OpenNext();
            int count = (int)Math.Min(bytes.Length, table[_number].Length - _written);
            _file.Write(bytes[..count], _written);
            _file.BeginWriteBack(_written, count);
            _written += count;
            bytes = bytes[count..];
        }

        // Those that are empty at the end, too.
        while (_written == table[_number].Length && _number + 1 < table.Count)
            OpenNext();
        if (_written == table[_number].Length)
            SyncLast();
    }

    private void OpenNext()
    {
        SyncLast();
        _file = folders.Files.Open(Folder + "/" + table[++_number].Name, FileOpenMode.CreateNew);
        _written = 0;
    }

    private void SyncLast()
    {
        _file?.Sync(SyncMode.Full);
        _file?.Dispose();
        _file = null;
    }

    private IStorageEngine Open()
    {
        folders.Files.SyncFolder(Folder);
        IStorageEngine engine = folders.OpenCopied(Folder, EngineName);
        if (Head.Digest.IsUnknown || engine.PublishedDigest.IsUnknown || engine.PublishedDigest == Head.Digest)
            return engine;
        engine.Dispose();
        throw new CorruptionException(Folder, 0, $"its digest is {engine.PublishedDigest}, and that of the snapshot {Head.Digest}");
    }
}
