using System.Collections.Concurrent;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Keyspaces that are made and dropped while the node runs. What there is the table says (<see cref="KeyspaceTableFile"/>): a keyspace is made
/// before its entry, and its files go behind it. Writes follow the entry in the journal, and those of a keyspace without one are
/// passed over at a start.
/// </summary>
public sealed partial class KvasirNode
{
    // Held while a thread outside the mailbox goes through the replicas, and for their change.
    private readonly Lock _replicasLock = new();

    // Closed and removed behind a round of upkeep: nobody else walks through the replicas without the lock.
    private readonly ConcurrentQueue<DroppedKeyspace> _dropped = [];

    // Of each that was there since the process began; so an index never stands for another one.
    private readonly Dictionary<uint, int> _numberOfNamed = [];
    private KeyspaceTable _table = KeyspaceTable.Of("");

    // In the order of their streams. Replaced as a whole.
    private volatile Replica[] _replicas = [];

    // By index behind the numbered databases; null for one that was dropped. Replaced as a whole.
    private volatile Replica?[] _named = [];

    public int NumberedDatabases => _databases.Length;

    public IReadOnlyList<KeyspaceDescription> Keyspaces =>
    [
        .. _databases.Select((replica, index) => Describe(replica, KeyspaceFolders.NameOf(index), index)),
        .. _named.Select((replica, i) => (Replica: replica, Index: _databases.Length + i)).Where(static n => n.Replica is not null)
            .Select(n => Describe(n.Replica!, n.Replica!.Options.Name, n.Index)).OrderBy(static k => k.Name, NaturalOrder.Instance),
    ];

    internal bool HasKeyspaceTable => _identity.HasKeyspaceTable;

    private string StandardEngine => _environment.Engines[0].Name;

    public int FindKeyspace(ReadOnlySpan<byte> name)
    {
        string text = Encoding.UTF8.GetString(name);
        for (int i = 0; i < _databases.Length; i++)
        {
            if (KeyspaceFolders.NameOf(i) == text)
                return i;
        }

        int named = Array.FindIndex(_named, r => r?.Options.Name == text);
        return named < 0 ? -1 : _databases.Length + named;
    }

    public string? CreateKeyspace(KeyspaceRequest request)
    {
        if ((KeyspaceRules.RefusalAlone(request) ?? RefusalNow()) is { } refusal)
            return refusal;
        if (_table.Find(request.Name) is not null)
            return $"there is a keyspace '{request.Name}' already";
        if (FindFactory(request.Engine) is null)
            return $"this program does not have the engine {request.Engine}";
        Durability durability = KeyspaceRules.DurabilityOf(request);
        KeyspaceTable table = _table.With(request.Name, request.Engine, durability, out KeyspaceEntry entry);
        string folder = KeyspaceFolders.PathOf(_options.Folder, entry);
        Replica? replica = null;
        try
        {
            FolderTree.Remove(_environment.Files, folder);
            replica = OpenReplica(entry);
            _environment.Files.SyncFolder(_options.Folder + "/" + KeyspacesFolder);

            // Known before the first write that the files may hold and the journal lose.
            if (durability != Durability.Sync && !_identity.HasUnsynced)
                Record(_identity with { HasUnsynced = true });
            Save(table);
        }
        catch (StorageException e)
        {
            // The table may have it all the same, after a loss of power: then it is empty, and its number is not given again.
            replica?.Engine.Dispose();
            _table = _table with { NextNumber = table.NextNumber };
            return e.Message;
        }

        _table = table;
        replica.Engine.MarkStable(_log.DurablePosition);
        replica.Census.Clear();
        lock (_replicasLock)
            _replicas = [.. _replicas, replica];
        NumberNamed();
        _upkeep.Change(_options);
        return null;
    }

    public string? DropKeyspace(string name, out int database)
    {
        database = FindKeyspace(Encoding.UTF8.GetBytes(name));
        if (database < 0)
            return $"there is no keyspace '{name}'";
        if (database < _databases.Length)
            return $"'{name}' is a database that SELECT knows by its number: FLUSHDB empties it";
        Replica replica = Database(database);
        if (IsConverting(replica))
            return $"'{name}' is on its way to another engine: end that first, with KEYSPACE CONVERT {name} ABORT";
        KeyspaceEntry entry = EntryOf(replica);
        KeyspaceTable table = _table.Without(entry);
        string? doubt = null;
        try
        {
            SaveOnAnyDisk(table);
        }
        catch (StorageException e)
        {
            if (!IsSaved(table))
                return e.Message;

            // What is read is the new table, and after a loss of power it may be the old one: the files stay for that.
            doubt = $"'{name}' is dropped, and may be back after a loss of power: {e.Message}";
        }

        _table = table;
        lock (_replicasLock)
            _replicas = [.. _replicas.Where(r => r != replica)];
        NumberNamed();
        _dropped.Enqueue(new DroppedKeyspace(replica, doubt is null ? KeyspaceFolders.PathOf(_options.Folder, entry) : null));
        _upkeep.Change(_options);
        return doubt;
    }

    /// <summary>By upkeep, which walks through the replicas and does not at this moment.</summary>
    internal void RemoveDropped()
    {
        if (!_dropped.IsEmpty)
            _environment.Scheduler.Schedule(new RemovalJob(this), JobPriority.Compaction);
    }

    private void RemoveOneDropped()
    {
        // Checkpoints copy files, and a stop closes them: one at a time.
        lock (_filesLock)
        {
            if (_disposed || !_dropped.TryDequeue(out DroppedKeyspace? dropped))
                return;
            _fileGeneration++;
            dropped.Replica.Engine.Dispose();
            try
            {
                if (dropped.Folder is not null)
                    FolderTree.Remove(_environment.Files, dropped.Folder);
            }
            catch (StorageException e)
            {
                _options.Warner?.Invoke($"{dropped.Folder}: a keyspace that was dropped cannot be removed now, but at the next start: {e.Message}");
            }
        }
    }

    private static KeyspaceDescription Describe(Replica replica, string name, int index) => new(
        name, index, replica.Options.Engine, "static", Shards: 1, "none", Replicas: 1, replica.Options.Durability.ToString().ToLowerInvariant())
    {
        IndexPercent = replica.Engine.GetStatistics().IndexPercent,
    };

    /// <summary>An index stays its keyspace's as long as the process lives: clients have selected it.</summary>
    private void NumberNamed()
    {
        foreach (KeyspaceEntry entry in _table.Named)
            _numberOfNamed.TryAdd(entry.Stream, _numberOfNamed.Count);
        var named = new Replica?[_numberOfNamed.Count];
        foreach (Replica replica in _replicas)
        {
            if (KeyspaceTable.IsNamed(replica.StreamId))
                named[_numberOfNamed[replica.StreamId]] = replica;
        }

        _named = named;
    }

    private string? RefusalNow() => _log.Refusal is { } refusal ? $"writes are refused now: {refusal.Message}" : null;

    /// <summary>What the folder says; in a new one, what was asked for.</summary>
    private KeyspaceTable ReadTable()
    {
        IFileSystem files = _environment.Files;
        KeyspaceTable table = KeyspaceTableFile.ReadDurable(files, _options.Folder, _identity, StandardEngine);
        if (_options.Engine is not { } wanted || wanted == table.DatabaseEngine)
            return table;
        if (FindFactory(wanted) is null)
            throw new StorageException($"this program does not have the engine {wanted}");
        bool isNew = _identity is { HasJournal: false, DatabaseCount: 0 } && KeyspaceFolders.List(files, _options.Folder).Count == 0;
        if (!isNew)
        {
            _options.Warner?.Invoke($"the databases of {_options.Folder} are on engine {table.DatabaseEngine}, and engine {wanted} changes nothing: that is chosen when the folder is made");
            return table;
        }

        // Before the first file of an engine.
        table = table with { DatabaseEngine = wanted };
        Save(table);
        return table;
    }

    private void SaveOnAnyDisk(KeyspaceTable table)
    {
        try
        {
            Save(table);
        }
        catch (DiskFullException)
        {
            // What is dropped gives more than this takes.
            if (!_reserve.TryLetGo())
                throw;
            Save(table);
        }
    }

    private void Save(KeyspaceTable table)
    {
        KeyspaceTableFile.Write(_environment.Files, _options.Folder, table);
        if (!_identity.HasKeyspaceTable)
            Record(_identity with { HasKeyspaceTable = true });
    }

    private bool IsSaved(KeyspaceTable table)
    {
        try
        {
            return KeyspaceTableFile.ReadDurable(_environment.Files, _options.Folder, _identity, StandardEngine).Equals(table);
        }
        catch (StorageException)
        {
            return false;
        }
    }

    /// <param name="Replica">In nobody's list any more.</param>
    /// <param name="Folder">To be removed; null where it must stay.</param>
    private sealed record DroppedKeyspace(Replica Replica, string? Folder);

    private sealed class RemovalJob(KvasirNode node) : IBackgroundJob
    {
        public string Name => "keyspace removal";

        public void Run() => node.RemoveOneDropped();
    }
}
