using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Nodes;

/// <summary>A moment of a whole node that is about to be copied: of all its keyspaces the same.</summary>
internal sealed class CheckpointMoment(int fileGeneration, KeyspaceTable table, int databases) : IDisposable
{
    private readonly List<(KeyspaceEntry Entry, EngineCheckpoint Moment)> _engines = [];

    /// <summary>Once the node has another, files were closed since.</summary>
    public int FileGeneration { get; } = fileGeneration;

    public KeyspaceTable Table { get; } = table;

    public int Databases { get; } = databases;

    public IReadOnlyList<(KeyspaceEntry Entry, EngineCheckpoint Moment)> Engines => _engines;

    public void Add(KeyspaceEntry entry, EngineCheckpoint moment) => _engines.Add((entry, moment));

    public void Dispose()
    {
        foreach ((_, EngineCheckpoint moment) in _engines)
            moment.Dispose();
    }
}
