using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <content>Comparing a node with a prefix of the history.</content>
public sealed partial class DiskWorkload
{
    /// <summary>What happened, for whoever wants to know that it did.</summary>
    private DiskWorkloadCoverage Coverage { get; } = new();

    private void Count(string what) => Coverage.Add(what);

    /// <summary>The number of the last transaction that is there.</summary>
    private int FoundNumber(KvasirNode node, string when)
    {
        int first = FoundNumber(node, 0);
        for (int database = 1; database < Databases; database++)
        {
            int found = FoundNumber(node, database);
            if (found != first)
                throw Broken($"{when}: a transaction is half there: db0 ends with {first}, db{database} with {found}");
        }

        return first;
    }

    private static int FoundNumber(KvasirNode node, int database)
    {
        BytesBuffer value = new();
        return node.Database(database).Engine.Get(s_numberKey, ReadView.Published, value).Found
            ? (int)BitConverter.ToInt64(value.WrittenSpan)
            : 0;
    }

    private void CheckContent(KvasirNode node, int prefix, string when)
    {
        // The node's own clock: a recovery may have waited, and what expired meanwhile is gone for it alone.
        long nowMs = node.Time.GetUtcNow().ToUnixTimeMilliseconds();
        for (int database = 0; database < Databases; database++)
            CheckDatabase(node.Database(database).Engine, ReadView.Published, _history[prefix], database, prefix, nowMs, when);
    }

    /// <summary>As <see cref="CheckContent"/>, on a disk that may refuse to be read: never something wrong.</summary>
    private bool CheckLive(KvasirNode node, int prefix, string when)
    {
        bool wasChecking = _checking;
        _checking = true;
        try
        {
            CheckContent(node, prefix, when);
            return true;
        }
        catch (StorageException e) when (_diskIsBad)
        {
            Count(e is CorruptionException ? "reads refused for damage" : "reads refused by the disk");
            return false;
        }
        finally
        {
            _checking = wasChecking;
        }
    }

    private void CheckDatabase(
        IStorageEngine engine, ReadView view, DatabaseModel model, int database, int prefix, long nowMs, string when)
    {

        // Time stands still while two views of it are compared.
        bool wasComparing = _comparing;
        _comparing = true;
        try
        {
            Compare(engine, view, [.. model.Live(database, nowMs)], $"{when}: db{database} after {prefix} transactions");
        }
        finally
        {
            _comparing = wasComparing;
        }
    }

    private void Compare(IStorageEngine engine, ReadView view, KeyValuePair<byte[], ModelValue>[] expected, string where)
    {
        using (EngineScan iterator = engine.CreateScan(new IteratorOptions { View = view }))
            Walk(iterator, expected, where);

        // Point reads go another way than iterators: look at some of them, present and absent.
        BytesBuffer buffer = new();
        for (int i = 0; i < 8; i++)
        {
            byte[] key = expected.Length > 0 && _crashRandom.OneIn(2) ? expected[_crashRandom.Next(expected.Length)].Key : RandomKey(_crashRandom);
            buffer.Clear();
            bool found = engine.Get(key, view, buffer).Found;
            ModelValue? wanted = expected.Where(e => e.Key.AsSpan().SequenceEqual(key)).Select(e => (ModelValue?)e.Value).FirstOrDefault();
            if (found != wanted is not null || (found && !buffer.WrittenSpan.SequenceEqual(wanted!.Value.Value)))
                throw Broken($"{where}: a read of {Show(key)} disagrees with the iterator");
        }
    }

    private void Walk(EngineScan iterator, KeyValuePair<byte[], ModelValue>[] expected, string where)
    {
        EngineIterator? both = iterator as EngineIterator;
        if (both is null)
            Array.Sort(expected, static (x, y) => TokenOrder.Compare(x.Key, y.Key));
        bool forward = _crashRandom.OneIn(2) || both is null;
        if (!forward)
            expected = [.. expected.Reverse()];
        if (forward)
            iterator.SeekToFirst();
        else
            both!.SeekToLast();
        foreach ((byte[] key, ModelValue value) in expected)
        {
            // The marker of an earlier recovery is not part of the history.
            SkipMarker(iterator, forward);
            if (!iterator.Valid)
                throw Broken($"{where} lacks {Show(key)}");
            if (!iterator.Key.SequenceEqual(key))
                throw Broken($"{where} has {Show(iterator.Key)} where {Show(key)} should be");
            if (!iterator.Value.SequenceEqual(value.Value) || iterator.ExpiresAtMs != value.ExpiresAtMs)
                throw Broken($"{where} has another value for {Show(key)}");
            if (forward)
                iterator.Next();
            else
                both!.Previous();
        }

        SkipMarker(iterator, forward);
        if (iterator.Valid)
            throw Broken($"{where} has {Show(iterator.Key)}, which should not be there");
    }

    private static void SkipMarker(EngineScan iterator, bool forward)
    {
        while (iterator.Valid && iterator.Key.SequenceEqual(SimulatedNode.MarkerKey))
        {
            if (forward)
                iterator.Next();
            else
                ((EngineIterator)iterator).Previous();
        }
    }

    /// <summary>What the engines have done since they were opened.</summary>
    private void CountWork(KvasirNode node)
    {
        foreach (EngineStatistics statistics in node.Replicas.Select(r => r.Engine.GetStatistics()))
        {
            Coverage.Add("KiB flushed", statistics.FlushBytesWritten >> 10);
            Coverage.Add("KiB compacted", statistics.CompactionBytesWritten >> 10);
            int deepest = statistics.Levels.Count(l => l.Files > 0);
            if (deepest > 1)
                Coverage.Add($"databases closed with {deepest} levels of tables");
        }
    }

    private void CountOperation(in DiskOperation operation)
    {
        if (operation.Kind == DiskOperationKind.Create && DataFiles.Are(operation.Path))
            Count("tables written");
        else if (operation.Kind == DiskOperationKind.Create && operation.Path.Contains("MANIFEST", StringComparison.Ordinal))
            Count("manifests written");
        else if (operation.Kind == DiskOperationKind.Rename && operation.Path.EndsWith(".segment", StringComparison.Ordinal))
            Count("journal segments begun");
        else if (operation.Kind == DiskOperationKind.Rename && operation.Path.EndsWith(".spare", StringComparison.Ordinal) && operation.Path.StartsWith(JournalFolder, StringComparison.Ordinal))
            Count("journal segments made or recycled");
        else if (operation.Kind == DiskOperationKind.Delete && operation.Path.EndsWith(".segment", StringComparison.Ordinal))
            Count("journal segments deleted");
        else if (operation.Kind == DiskOperationKind.Delete && DataFiles.Are(operation.Path))
            Count("tables deleted");
    }

    private static string AreaOf(string path)
    {
        string name = path[(path.LastIndexOf('/') + 1)..];
        string area = name switch
        {
            _ when name.EndsWith(".sst", StringComparison.Ordinal) => "a table",
            _ when name.EndsWith(".log", StringComparison.Ordinal) => "a log segment",
            _ when name.EndsWith(".hint", StringComparison.Ordinal) => "a hint file",
            _ when name.StartsWith("MANIFEST", StringComparison.Ordinal) => "a manifest",
            _ when name.StartsWith("CURRENT", StringComparison.Ordinal) => "CURRENT",
            _ when name.StartsWith("NODE", StringComparison.Ordinal) => "NODE",
            _ when name.EndsWith(".segment", StringComparison.Ordinal) => "a journal segment",
            _ when name.EndsWith(".spare", StringComparison.Ordinal) || name.EndsWith(".making", StringComparison.Ordinal) => "a spare segment",
            "KEYSPACES" or "KEYSPACES.new" => "the table of keyspaces",
            "HASHLOG" or "HASHLOG.new" => "a manifest",
            "LOCK" => "LOCK",
            _ => "a folder",
        };
        return path.StartsWith("/checkpoint", StringComparison.Ordinal) ? area + " of a checkpoint" : area;
    }
}
