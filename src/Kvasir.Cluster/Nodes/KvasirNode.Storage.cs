using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>How the files of a node are opened and closed: what must be there is, and the journal goes into the engines.</summary>
public sealed partial class KvasirNode
{
    private void RefuseMissingKeyspaces()
    {
        int databases = KeyspaceFolders.CountDatabases(_environment.Files, _options.Folder, _identity);
        if (databases > _options.DatabaseCount)
        {
            throw new StorageException(
                $"{_options.Folder} has {databases} databases and {_options.DatabaseCount} are configured; start with at least {databases}");
        }

        foreach (KeyspaceEntry entry in KeyspaceFolders.Required(_table, databases))
        {
            if (FactoryOf(entry).FindMissing(_environment.Files, KeyspaceFolders.PathOf(_options.Folder, entry)) is { } missing)
            {
                throw new FileMissingException(
                    $"{missing} is missing, though the keyspace was there; nothing is served from a part of the data", inner: null);
            }
        }
    }

    /// <summary>Before any engine is opened: it would remove the files that a manifest without its end does not name.</summary>
    private FlushedFile OpenFlushedFile()
    {
        string path = FlushedFile.PathIn(_options.Folder);
        if (_identity.HasFlushed && !_environment.Files.FileExists(path))
            throw new FileMissingException(path);
        FlushedFile flushed = FlushedFile.Open(_environment.Files, _options.Folder, _identity.JournalId);
        foreach (KeyspaceEntry entry in KeyspaceFolders.Required(_table, Math.Max(0, flushed.Marks.Flushed.Count - 1)))
        {
            string engine = KeyspaceFolders.PathOf(_options.Folder, entry);
            LogPosition held = FactoryOf(entry).ReadFlushedPosition(_environment.Files, engine);
            if (flushed.Marks.Missing(entry.Stream, held) is { } missing)
                throw new CorruptionException(engine, 0, missing);
        }

        if (KeyspaceFolders.FindUnknown(_table, flushed.Marks) is { } unknown)
            throw new CorruptionException(KeyspaceTableFile.PathIn(_options.Folder), 0, unknown);

        return flushed;
    }

    /// <summary>Whose the engine of a stream is.</summary>
    internal static EngineOwner OwnerOf(NodeIdentity identity, uint stream) => new(identity.Id, stream);

    /// <summary>What is durable in every replica's own files is written down as such; false when that cannot be done now.</summary>
    private bool TrySaveFlushed(LogPosition end)
    {
        try
        {
            lock (_flushedLock)
            {
                // Read before the journal's own files are asked for anything more: a flush that ends meanwhile is said next time.
                ILookup<bool, Replica> replicas = _replicas.ToLookup(static r => KeyspaceTable.IsNamed(r.StreamId));
                LogPosition[] numbered = [.. replicas[false].Select(FlushedOf)];
                (uint, LogPosition)[] named = [.. replicas[true].Select(r => (r.StreamId, FlushedOf(r)))];
                _flushed!.Save(_log.Journal.JournalId, numbered, end, named);
            }

            return true;
        }
        catch (StorageException)
        {
            return false;
        }
    }

    /// <summary>
    /// How far the files reach is written down for the day when the disk is full, and missed from now on where it is not there. Where the disk
    /// refuses that now, a later start says it.
    /// </summary>
    private void BeginToTellOfFlushed()
    {
        if (!TrySaveFlushed(LogPosition.Zero) || _identity.HasFlushed)
            return;
        try
        {
            Record(_identity with { HasFlushed = true });
        }
        catch (StorageException)
        {
        }
    }

    private IEngineFactory FactoryOf(KeyspaceEntry entry) => FindFactory(entry.Engine)
        ?? throw new StorageException($"keyspace {entry.Name} wants the engine {entry.Engine}, which this program does not have");

    private IEngineFactory? FindFactory(string engine) => _environment.Engines.FirstOrDefault(e => e.Name == engine);

    /// <summary>On a full disk by letting go the space that is kept: then there are reads and deletions until there is room.</summary>
    private void OpenStorageOnAnyDisk()
    {
        try
        {
            OpenStorage();
        }
        catch (DiskFullException)
        {
            CloseEngines();
            if (!_reserve.TryLetGo())
                throw;
            OpenStorage();
        }

        if (!_reserve.TryHold())
            _log.Refuse(new WriteRefusal(WriteRefusal.FullDisk, "disk full: writes are refused and reads go on; free some space and writes resume by themselves"));
    }

    private void OpenStorage()
    {
        IFileSystem files = _environment.Files;
        _replicas = [];
        _convertedFlushed = null;
        _table = ReadTable();
        RefuseMissingKeyspaces();
        FlushedFile flushed = OpenFlushedFile();
        files.CreateFolder(_options.Folder + "/" + KeyspacesFolder);
        foreach (KeyspaceEntry entry in KeyspaceFolders.Required(_table, _options.DatabaseCount))
        {
            _replicas = [.. _replicas, OpenReplica(entry)];

            // It read for itself, and a misread may have sent it back to a state that it kept beside the last one.
            if (flushed.Marks.Missing(entry.Stream, _replicas[^1].Engine.FlushedPosition) is { } missing)
                throw new CorruptionException(KeyspaceFolders.PathOf(_options.Folder, entry), 0, missing);
        }

        JournalReplay replay = new(_replicas, _table, _environment.Scheduler);
        JournalWriter journal = JournalWriter.Open(
            files,
            _environment.Scheduler,
            _options.Folder + "/" + JournalFolder,
            _options.Journal with
            {
                MustExist = _identity.HasJournal,
                JournalId = _identity.JournalId,
                MustReach = MustReach(_identity, replay.FlushedMax, flushed.Marks),
                BeginAfter = replay.FlushedMax,
                PendingBytesMax = (int)Math.Min(_options.Journal.PendingBytesMax, Math.Max(PendingBytesMin, _options.MemoryBytes / 16)),
            },
            LogPosition.Zero,
            replay.Apply);
        journal.BeforeLettingGo = () => TrySaveFlushed(LogPosition.Zero);
        _flushed = flushed;
        _log.Attach(journal);
        foreach (Replica replica in _replicas)
        {
            replica.Engine.MarkStable(journal.DurablePosition);

            // What is new needs no count of its keys, and no sweep that walks all of them to learn when they expire.
            if (replica.Engine.LastSequence == default)
                replica.Census.Clear();
        }

        // The journal has been read: it knows no keyspace that the table does not.
        KeyspaceFolders.RemoveLeftOvers(files, _options.Folder, _table);
        _databases = DatabaseMapping.Read(_replicas[..(_options.DatabaseCount + 1)]);
        NumberNamed();
        _swaps.Clear();
    }

    private Replica OpenReplica(KeyspaceEntry entry) => new(entry.Stream, OptionsOf(entry), OpenEngine(entry), _log);

    private IStorageEngine OpenEngine(KeyspaceEntry entry)
    {
        EngineEnvironment environment = new(_environment.Files, _environment.Scheduler, _memory)
        {
            StabilityWanted = _log.RequestSync,
            TakesAll = true,
            LimitNears = _options.Warner,
            ExpiryHorizon = nowMs => SweepHorizon.At(nowMs, _log),
            Owner = OwnerOf(_identity, entry.Stream),
        };
        return FactoryOf(entry).Open(KeyspaceFolders.PathOf(_options.Folder, entry), environment);
    }

    private KeyspaceOptions OptionsOf(KeyspaceEntry entry)
    {
        Durability durability = entry.Durability
            ?? (entry.Stream > 0 && _options.DatabaseDurability.TryGetValue((int)entry.Stream - 1, out Durability own) ? own : _options.Durability);
        return new KeyspaceOptions { Name = entry.Name, Engine = entry.Engine, Durability = durability };
    }

    private KeyspaceEntry EntryOf(Replica replica) => KeyspaceTable.IsNamed(replica.StreamId)
        ? _table.Entries.Single(e => e.Stream == replica.StreamId)
        : _table.OfNumbered(replica.StreamId);

    /// <summary>Up to where the journal must go; where it may have lost what was not synced, up to where it was at a clean stop.</summary>
    internal static LogPosition MustReach(NodeIdentity identity, LogPosition flushedMax, FlushedMarks marks)
    {
        LogPosition flushed = identity is { HasJournal: true, HasUnsynced: false } ? flushedMax : LogPosition.Zero;
        return flushed > marks.End ? flushed : marks.End;
    }

    /// <summary>Closes everything, whatever happens; returns what kept the last writes from being saved.</summary>
    private StorageException? CloseStorage()
    {
        StorageException? failure = null;
        try
        {
            // The engines are not flushed: the journal has everything, and a stop should take no longer than a sync.
            if (!_log.IsStopped)
            {
                _log.Journal.Commit(sync: true);
                TrySaveFlushed(_log.Journal.DurablePosition);
            }
        }
        catch (StorageException e)
        {
            failure = e;
        }

        JournalWriter journal = _log.Detach();
        CloseEngines();
        journal.Dispose();
        return failure;
    }

    private void CloseEngines()
    {
        foreach (Replica replica in _replicas)
            replica.Engine.Dispose();
        while (_dropped.TryDequeue(out DroppedKeyspace? dropped))
            dropped.Replica.Engine.Dispose();
    }
}
