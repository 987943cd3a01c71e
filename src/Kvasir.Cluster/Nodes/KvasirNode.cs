using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Logs;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// A node: the keyspaces it hosts, one engine each, over the one journal they share. The databases of the Redis protocol
/// are the keyspaces <c>db0</c>, <c>db1</c>, ...; others are made by their name. All share one mailbox, so that a MULTI block is
/// atomic across them.
/// <para>
/// <b>Start.</b> Engines open with what their files hold, then the journal gives each of them every later write again.
/// A file that is missing or damaged stops the start with its name; nothing is served from a part of the data.
/// </para>
/// <para>
/// <b>Threads.</b> Members are thread-safe unless they say that they belong to the mailbox.
/// </para>
/// </summary>
public sealed partial class KvasirNode : IServedNode, ILoneNode, IDisposable
{
    internal const string KeyspacesFolder = "keyspaces";
    internal const string JournalFolder = "journal";

    // Of the journal, where memory is small: what may wait for a disk that is slow.
    private const long PendingBytesMin = 8L << 20;

    private NodeOptions _options;
    private readonly NodeEnvironment _environment;
    private readonly MemoryBudget _memory;
    private readonly JournalLog _log;
    private readonly NodeUpkeep _upkeep;
    private readonly HeldFolder _folder;
    private readonly SpaceReserve _reserve;
    private ILogListener? _listener;
    private NodeIdentity _identity;
    private FlushedFile? _flushed;

    // Held while files are copied, and while they are closed and opened again.
    private readonly Lock _filesLock = new();

    // Of those with numbers, by index; SWAPDB permutes it. The system replica remembers the permutation.
    private Replica[] _databases;

    // SWAPDBs that a log failure may still take back: their positions, and what stood before them.
    private readonly List<(LogPosition Position, Replica[] Before)> _swaps = [];
    private int _generation;

    // Grows whenever an engine's files are closed.
    private int _fileGeneration;

    // Under _filesLock.
    private bool _isCopying;

    // Held while what is flushed is written down.
    private readonly Lock _flushedLock = new();

    // Failures of the log whose writes the engines have not forgotten yet: until then it must not resume.
    private int _discardsPending;
    private bool _disposed;

    private KvasirNode(NodeOptions options, NodeEnvironment environment, HeldFolder folder, NodeIdentity identity)
    {
        _options = options;
        _environment = environment with { Files = folder };
        _folder = folder;
        _identity = identity;
        _memory = new MemoryBudget(options.MemoryBytes);
        Conversions = new ConversionMeter(environment.Scheduler.Time);
        _log = new JournalLog(OnDurable, OnFailed);
        Mailbox = new ReplicaMailbox();
        _databases = [];
        _reserve = new SpaceReserve(folder, options.Folder + "/" + SpaceReserve.Name, options.ReserveBytes);
        _upkeep = new NodeUpkeep(this, options, folder, environment.Scheduler, _log, _reserve);
    }

    /// <summary>Drawn when the folder was made; never changes.</summary>
    public ulong Identity => _identity.Id;

    public NodeOptions Options => _options;

    public INodeLog Log => _log;

    public ReplicaMailbox Mailbox { get; }

    public MemoryBudget Memory => _memory;

    public ConversionMeter Conversions { get; }

    public TimeProvider Time => _environment.Scheduler.Time;

    public Durability Durability => _options.Durability;

    public ILoneNode? Alone => this;

    public IClusteredNode? Clustered => null;

    public int DatabaseCount => _databases.Length + _named.Length;

    /// <summary>Every replica of the node, the system keyspace's first, then those of numbered databases.</summary>
    public IReadOnlyList<Replica> Replicas => _replicas;

    /// <summary>The same, to walk through often: the list's enumerator is an object.</summary>
    internal ReadOnlySpan<Replica> ReplicaSpan => _replicas;

    /// <summary>Why writes are refused now, or null.</summary>
    public WriteRefusal? Refusal => _log.Refusal;

    /// <summary>The folder's disk, for as long as it is the folder that was opened: what writes there writes through it.</summary>
    public IFileSystem Files => _folder;

    public string? LookForFolder() => _folder.LookForParts() ? null : _folder.Loss;

    /// <summary>The wrapped journal's bytes, for metrics.</summary>
    public long JournalBytes => _log.RetainedBytes;

    /// <summary>Opens the folder's node, or makes a new one. Throws <see cref="StorageException"/>s that say what is wrong.</summary>
    public static KvasirNode Open(NodeOptions options, NodeEnvironment environment)
    {
        HeldFolder files = HeldFolder.Take(environment.Files, options.Folder);
        KvasirNode? node = null;
        try
        {
            if (files.FileExists(options.Folder + "/" + ClusterFile.Name))
                throw new StorageException($"{options.Folder} is the folder of a node of a cluster: start it with its peer address");
            NodeIdentity identity = IdentityFile.ReadOrCreate(files, options.Folder, new SeededRandom(environment.Seed).NextUInt64());
            node = new KvasirNode(options, environment, files, identity);
            node.OpenStorageOnAnyDisk();
            node.RecordWhatWasMade();
            node.BeginToTellOfFlushed();
            node._upkeep.Start();
            return node;
        }
        catch
        {
            if (node is not null)
            {
                JournalWriter? journal = node._log.IsAttached ? node._log.Detach() : null;
                node.CloseEngines();
                journal?.Dispose();
            }

            files.Dispose();
            throw;
        }
    }

    /// <summary>Who is told when replies may leave. One listener, set before the first write.</summary>
    public void SetLogListener(ILogListener listener) => _listener = listener;

    /// <summary>The replica that a database index stands for now. Belongs to the mailbox.</summary>
    public Replica Database(int index)
    {
        if ((uint)index < (uint)_databases.Length)
            return _databases[index];
        return _named[index - _databases.Length] ?? throw new StorageException("the keyspace of this database was dropped: SELECT another");
    }

    /// <summary>Nobody where the keyspace was dropped.</summary>
    public ReadOnlySpan<Replica> ReplicasOf(int database)
    {
        if (database < _databases.Length)
            return new(in _databases[database]);
        Replica?[] named = _named;
        return named[database - _databases.Length] is null ? [] : new(in named[database - _databases.Length]!);
    }

    /// <summary>
    /// Lets two database indexes trade places, durably with the execution's next commit. Belongs to the mailbox.
    /// </summary>
    public void SwapDatabases(Execution execution, int first, int second)
    {
        Check.That((uint)first < (uint)_databases.Length && (uint)second < (uint)_databases.Length);
        Replica[] swapped = [.. _databases];
        (swapped[first], swapped[second]) = (swapped[second], swapped[first]);
        DatabaseMapping.Write(execution, _replicas[0], swapped);
        Replica[] before = _databases;
        _databases = swapped;
        execution.WhenEnded(position =>
        {
            if (position is { } committed)
                NoteSwap(committed, before);
            else
                _databases = before;
        });
    }

    /// <summary>
    /// Sets the durability of all databases that have none of their own, from the next write on. What was answered before is
    /// durable when it returns, so that no promise reaches back over the change. Belongs to the mailbox.
    /// </summary>
    public void SetDurability(Durability durability)
    {
        if (durability == _options.Durability)
            return;
        if (!_log.IsStopped)
            _log.Journal.Commit(sync: true);

        // Known before the first write that the files may hold and the journal lose. It stays known until the next start.
        if (durability != Durability.Sync && !_identity.HasUnsynced)
            Record(_identity with { HasUnsynced = true });
        _options = _options with { Durability = durability };
        foreach (Replica replica in _replicas)
            replica.Options = OptionsOf(EntryOf(replica));
        _upkeep.Change(_options);
    }

    /// <summary>
    /// Writes an openable copy of the node's data to a new folder: everything that was durable when it began. Blocks; not
    /// from inside the mailbox.
    /// </summary>
    public void Checkpoint(string folder) => NodeCheckpoint.Write(this, _environment.Files, folder);

    /// <summary>
    /// Closes everything and opens it again from disk, as a restart would. Belongs to the mailbox; replies that wait for
    /// the log have their answer before it begins. When it throws, there is nothing left to serve from: the caller lets no
    /// other item run, and ends the process.
    /// </summary>
    public void Reload()
    {
        _upkeep.Pause();
        StopConversion();
        lock (_filesLock)
        {
            // What could not be saved was told to the listener, and is as unknown as after any restart.
            CloseStorage();
            _generation++;
            _fileGeneration++;
            OpenStorageOnAnyDisk();
        }

        _upkeep.Resume();
    }

    /// <summary>
    /// Stops cleanly: everything answered is made durable, whatever its durability, then all files are closed. The caller
    /// has stopped posting to the mailbox.
    /// </summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _upkeep.Stop();
        StopConversion();
        StorageException? failure;
        lock (_filesLock)
            failure = CloseStorage();
        _folder.Dispose();
        if (failure is not null)
            throw failure;
    }

    /// <summary>
    /// Writes are refused because the disk is full; this one gives back space by and by. True when there is room to log it:
    /// the space that was kept for that is let go, and the refusal stays for all others until it is kept again. Belongs to
    /// the mailbox.
    /// </summary>
    public bool MakeRoomForDeletion()
    {
        if (_log.Refusal is not { Code: WriteRefusal.FullDisk } || HasDiscardsPending)
            return false;

        // An engine whose memory is full takes nothing more before it could flush. Nothing is let go for what is not taken.
        if (_memory.DeletionLimitReached && Array.Exists(_replicas, static r => r.Engine.BackgroundFailure is not null))
            return false;
        try
        {
            _reserve.TryLetGo();
            if (_log.IsStopped && !_log.TryResumeRefusing())
                return false;
        }
        catch (StorageException)
        {
            return false;
        }

        return true;
    }

    internal bool HasDiscardsPending => Volatile.Read(ref _discardsPending) != 0;

    /// <summary>
    /// The moment at which it is called, of every replica: everything answered is in it. Inside the mailbox. Returns what
    /// <see cref="TryCopy"/> wants to know of the moment.
    /// </summary>
    internal CheckpointMoment BeginCheckpoint()
    {
        if (_disposed)
            throw new StorageException("the node is closed");
        _log.Journal.Commit(sync: true);

        // Who synced it may be another thread that is only about to say so.
        LogPosition durable = _log.Journal.DurablePosition;
        var moment = new CheckpointMoment(_fileGeneration, _table, _databases.Length);
        foreach (Replica replica in _replicas)
        {
            replica.Engine.MarkStable(durable);
            moment.Add(EntryOf(replica), replica.Engine.BeginCheckpoint());
        }

        return moment;
    }

    /// <summary>Copies files while nobody closes them; false when that has happened since the moment began.</summary>
    internal bool TryCopy(CheckpointMoment moment, Action copy)
    {
        lock (_filesLock)
        {
            if (_disposed)
                throw new StorageException("the node is closed");
            if (moment.FileGeneration != _fileGeneration)
                return false;
            _isCopying = true;
            try
            {
                copy();
            }
            finally
            {
                _isCopying = false;
            }

            return true;
        }
    }

    private void NoteSwap(LogPosition position, Replica[] before)
    {
        _swaps.RemoveAll(s => s.Position <= _log.DurablePosition);

        // Several of one execution come last first, and only the first of them knows what stood before.
        _swaps.RemoveAll(s => s.Position == position);
        _swaps.Add((position, before));
    }

    private void TakeBackSwaps(LogPosition after)
    {
        int first = _swaps.FindIndex(s => s.Position > after);
        if (first >= 0)
            _databases = _swaps[first].Before;
        _swaps.Clear();
    }

    /// <summary>From now on the journal and every keyspace must be there: before the first write can be answered.</summary>
    private void RecordWhatWasMade()
    {
        Record(_identity with
        {
            HasJournal = true,
            DatabaseCount = _databases.Length,
            JournalId = _log.Journal.JournalId,
            HasUnsynced = Array.Exists(_replicas, r => r.Options.Durability != Durability.Sync),
        });
    }

    private void Record(NodeIdentity identity)
    {
        if (identity != _identity)
            IdentityFile.Write(_environment.Files, _options.Folder, identity);
        _identity = identity;
    }

    private void OnDurable(LogPosition position)
    {
        lock (_replicasLock)
        {
            foreach (Replica replica in _replicas)
                replica.Engine.MarkStable(position);
        }

        _listener?.Durable(_log, position);
    }

    private void OnFailed(JournalFailure failure, Exception cause, LogPosition durable)
    {
        Interlocked.Increment(ref _discardsPending);
        Mailbox.Post(new DiscardItem(this, _generation, durable));
        LogLoss loss = failure == JournalFailure.DiskFull ? LogLoss.DiskFull : LogLoss.DiskFailed;
        _listener?.Failed(_log, durable, loss, _log.Refusal?.Message ?? cause.Message);
    }

    /// <summary>Forgets what was published ahead of a log that has failed. What is stable stays.</summary>
    private sealed class DiscardItem(KvasirNode node, int generation, LogPosition durable) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            // What was opened since then holds only what is durable.
            if (generation == node._generation)
                Discard();
            Interlocked.Decrement(ref node._discardsPending);
        }

        private void Discard()
        {
            for (int i = node._replicas.Length - 1; i >= 0; i--)
            {
                // The first replica remembers which index stands for which database.
                if (node._replicas[i].DiscardLost(durable) is { } after && i == 0)
                    node.TakeBackSwaps(after);
            }
        }
    }
}
