using System.Text;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Logs;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <content>Keyspaces that move from one engine to another, one at a time. Which engine lies where the table says.</content>
public sealed partial class KvasirNode
{
    // How the last conversion of each keyspace went, since the start.
    private readonly SortedDictionary<string, ConversionStatus> _converted = new(StringComparer.Ordinal);
    private EngineConversion? _conversion;
    private Replica? _convertedReplica;

    // Of the replica that is converted: what may be written down as held by its files, whichever engine a restart finds. Under
    // _flushedLock. It outlives the conversion where the files are closed before that is certain.
    private LogPosition? _convertedFlushed;

    /// <summary>From here on a conversion needs the journal; null where none does. Any thread.</summary>
    internal LogPosition? NeededByConversion => Volatile.Read(ref _conversion)?.NeededFrom;

    /// <summary>
    /// Begins to move a keyspace to another engine, in the background. Null when it has begun; else why not. Belongs to the mailbox.
    /// </summary>
    public string? BeginConversion(string keyspace, string engine)
    {
        if (_conversion is { Status: { IsEnded: false } underWay })
            return ConversionStatus.RefusalOfAnother(underWay.Keyspace, underWay.Stage == ConversionStage.Withdrawing);
        if (FindKeyspace(Encoding.UTF8.GetBytes(keyspace)) is not (>= 0 and int database))
            return "there is no such keyspace";
        if (FindFactory(engine) is null)
            return $"there is no engine '{engine}': there are {string.Join(", ", _environment.Engines.Select(static e => e.Name))}";
        Replica replica = Database(database);
        if (replica.Options.Engine == engine)
            return $"keyspace {keyspace} has the engine {engine}";
        if (RefusalNow() is { } refusal)
            return refusal;

        // Nobody else makes a folder with this number, and one that a crash leaves is known as left over.
        KeyspaceTable table = _table.WithNumberTaken(out uint number);
        try
        {
            Save(table);
        }
        catch (StorageException e)
        {
            return e.Message;
        }

        _table = table;
        NoteConversion();
        KeyspaceEntry before = EntryOf(replica);
        KeyspaceEntry after = before with { Engine = engine, Folder = KeyspaceTable.FolderName(before.Name, number) };
        ConversionStatus status = new() { Keyspace = keyspace, From = replica.Options.Engine, To = engine, Stage = ConversionStage.Preparing };
        _convertedReplica = replica;
        EngineConversion conversion = new(
            new Site(this, replica, before, after), status, _options.ConversionBytesPerSecond, Identity ^ number, _conversion);
        Volatile.Write(ref _conversion, conversion);
        conversion.Start();
        return null;
    }

    /// <summary>How the last conversion of a keyspace goes or went; null where there was none since the start. Belongs to the mailbox.</summary>
    public ConversionStatus? ConversionOf(string keyspace)
    {
        NoteConversion();
        return _converted.GetValueOrDefault(keyspace);
    }

    /// <summary>Ends the conversion of a keyspace before its time: null, or why there is nothing to end. Belongs to the mailbox.</summary>
    public string? AbortConversion(string keyspace)
    {
        if (_conversion is not { } conversion || conversion.Status.Keyspace != keyspace || conversion.Status.IsEnded)
            return "no conversion of that keyspace is under way";
        return conversion.TryAbort() ? null : "it is too late: the new engine takes over";
    }

    private bool IsConverting(Replica replica) => _conversion is { Status.IsEnded: false } && _convertedReplica == replica;

    private void NoteConversion()
    {
        if (_conversion?.Status is { } status)
            _converted[status.Keyspace] = status;
    }

    /// <summary>The files are about to be closed. Inside the mailbox, or when nobody posts to it any more.</summary>
    private void StopConversion()
    {
        _conversion?.Stop();
        NoteConversion();
        _conversion = null;
    }

    /// <summary>What its files are known to hold, whichever engine a start would find. Under <c>_flushedLock</c>.</summary>
    private LogPosition FlushedOf(Replica replica)
    {
        LogPosition flushed = replica.Engine.FlushedPosition;
        return _convertedFlushed is { } held && replica == _convertedReplica && held < flushed ? held : flushed;
    }

    private sealed class Site(KvasirNode node, Replica replica, KeyspaceEntry before, KeyspaceEntry after) : IConversionSite
    {
        private bool _hasTriedToSwitch;

        private IFileSystem Files => node._environment.Files;

        public IScheduler Scheduler => node._environment.Scheduler;

        public ReplicaMailbox Mailbox => node.Mailbox;

        public ConversionMeter Meter => node.Conversions;

        public IStorageEngine Source => replica.Engine;

        public bool LeavesFailingSources => false;

        public bool MemoryIsShort => node._memory.WriteLimitReached;

        public WritePace Pace { get; } = new(node._environment.Scheduler.Time);

        public void RequestDurable() => node._log.RequestSync();

        public IStorageEngine OpenTarget()
        {
            long needed = Source.GetStatistics().DiskBytes;
            long free = Files.FreeBytes(node._options.Folder);
            if (free < needed)
                throw new DiskFullException($"the copy needs about {needed} bytes beside what is there, and {free} are free");
            return node.OpenEngine(after);
        }

        public bool IsCurrent => true;

        public ReadView SourceView => ReadView.Published;

        // Of a node that is alone nobody compares states.
        public StateDigest SealedDigest => StateDigest.Unknown;

        public void SourceDamaged(CorruptionException cause)
        {
        }

        public bool TrySeal(out LogPosition position)
        {
            if (node._log.Refusal is { } refusal)
                throw new WritesStoppedException(refusal.Message);
            node._log.Journal.Commit(sync: true);

            // Who synced it may be another thread that is only about to say so.
            Source.MarkStable(node._log.Journal.DurablePosition);
            position = node._log.AppendedPosition;
            return true;
        }

        public IWriteFeed BeginFeed(LogPosition sealedAt)
        {
            lock (node._flushedLock)
                node._convertedFlushed = Source.FlushedPosition;
            replica.Pace = Pace;
            return new StreamWalk(node._log.Journal, replica.StreamId, sealedAt);
        }

        public bool TrySwitch(IStorageEngine target)
        {
            KeyspaceTable table = node._table.WithMoved(after);
            _hasTriedToSwitch = true;
            node.Save(table);
            node._table = table;
            replica.MoveTo(target, node.OptionsOf(after));
            replica.Pace = null;
            lock (node._flushedLock)
                node._convertedFlushed = null;
            return true;
        }

        public void Withdraw()
        {
            if (_hasTriedToSwitch)
                node.Save(node._table);
        }

        public void Forget(bool removesTarget)
        {
            replica.Pace = null;
            lock (node._flushedLock)
                node._convertedFlushed = null;
            if (removesTarget)
                TryRemove(after);
        }

        public bool TryRetire(IStorageEngine engine)
        {
            // Its moments may be about to be copied, or just be.
            if (!node._filesLock.TryEnter())
                return false;
            try
            {
                if (node._isCopying)
                    return false;
                node._fileGeneration++;
                engine.Dispose();
            }
            finally
            {
                node._filesLock.Exit();
            }

            TryRemove(before);
            return true;
        }

        // What is left goes at the next start.
        private void TryRemove(KeyspaceEntry entry)
        {
            try
            {
                FolderTree.Remove(Files, KeyspaceFolders.PathOf(node._options.Folder, entry));
            }
            catch (StorageException)
            {
            }
        }
    }
}
