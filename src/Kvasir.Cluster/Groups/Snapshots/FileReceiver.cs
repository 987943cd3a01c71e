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
    private long _taken;

    // Of the job alone.
    private IFile? _file;
    private int _number = -1;
    private long _written;

    // So many of the files, all of which are whole, were looked at.
    private int _looked;

    // Under the lock.
    private IStorageEngine? _engine;
    private bool _isRunning;
    private bool _hasFailed;
    private string? _failure;
    private bool _isDropped;
    private Action? _discard;

    public string Name => "writing a snapshot";

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.Files;

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
                return _hasFailed;
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
                return _engine is not null;
        }
    }

    public override bool TryTake(ReadOnlySpan<byte> content, bool isLast)
    {
        // The first has said which files there are.
        if (Chunks == 0 ? !content.IsEmpty : content.IsEmpty || content.Length > _bytes - _taken)
            return false;
        _taken += content.Length;
        if (isLast != (_taken == _bytes))
            return false;
        Chunks++;
        lock (_lock)
        {
            if (_hasFailed)
                return false;
            if (!content.IsEmpty)
                _waiting.Enqueue(MessageBuffer.Copy(content));
            IsWhole = isLast;
            if (_isRunning || (_waiting.Count == 0 && !isLast))
                return true;
            _isRunning = true;
        }

        scheduler.Schedule(this, JobPriority.Copy);
        return true;
    }

    public override IStorageEngine TakeEngine()
    {
        lock (_lock)
        {
            Check.That(_engine is not null && !_isDropped);
            IStorageEngine engine = _engine;
            (_engine, _isDropped) = (null, true);
            return engine;
        }
    }

    public override void Drop(Action? discard)
    {
        lock (_lock)
        {
            if (!_isDropped && _isRunning)
            {
                (_isDropped, _discard) = (true, discard);
                return;
            }

            _engine?.Dispose();
            (_engine, _isDropped) = (null, true);
        }

        Close();
        discard?.Invoke();
    }

    /// <summary>A chunk, or a look at a file that is whole, or the end; what else there is to do comes behind the work of others.</summary>
    public void Run()
    {
        if (!TryNext(out MessageBuffer? chunk, out bool isEnd))
            return;
        try
        {
            if (chunk is not null)
            {
                using (chunk)
                    Write(chunk.Bytes);
            }
            else if (_looked < (isEnd ? table.Count : _number))
            {
                folders.VerifyCopied(Folder + "/" + table[_looked].Name, EngineName);
                _looked++;
            }
            else
            {
                Finish();
            }
        }
        catch (StorageException e)
        {
            lock (_lock)
                (_hasFailed, _failure) = (true, e.Message);
        }

        moved(this);
        scheduler.Schedule(this, JobPriority.Copy);
    }

    /// <summary>False when there is nothing to do for now: another job follows when there is.</summary>
    private bool TryNext(out MessageBuffer? chunk, out bool isEnd)
    {
        lock (_lock)
        {
            bool goesOn = !_isDropped && !_hasFailed;
            bool isThere = _waiting.TryDequeue(out chunk);
            isEnd = !isThere && IsWhole;
            if (goesOn && (isThere || _looked < _number || (isEnd && _engine is null)))
                return true;
            chunk?.Dispose();
            while (!goesOn && _waiting.TryDequeue(out MessageBuffer? left))
                left.Dispose();
            _isRunning = false;
            if (!_isDropped)
                return false;
            _engine?.Dispose();
            _engine = null;
        }

        Close();
        _discard?.Invoke();
        return false;
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

    private void Finish()
    {
        folders.Files.SyncFolder(Folder);
        IStorageEngine engine = folders.OpenCopied(Folder, EngineName);
        if (!Head.Digest.IsUnknown && !engine.PublishedDigest.IsUnknown && engine.PublishedDigest != Head.Digest)
        {
            engine.Dispose();
            throw new CorruptionException(Folder, 0, $"its digest is {engine.PublishedDigest}, and that of the snapshot {Head.Digest}");
        }

        lock (_lock)
            _engine = engine;
    }

    private void Close()
    {
        _file?.Dispose();
        _file = null;
    }
}
