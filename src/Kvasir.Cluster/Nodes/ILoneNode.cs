using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>What a node does that has all of its data to itself, and no node of a cluster can.</summary>
public interface ILoneNode
{
    /// <inheritdoc cref="KvasirNode.SwapDatabases"/>
    void SwapDatabases(Execution execution, int first, int second);

    /// <summary>Databases that have a number; those behind them have names only.</summary>
    int NumberedDatabases { get; }

    /// <summary>Numbered ones first, then those with names in their order. Inside the mailbox.</summary>
    IReadOnlyList<KeyspaceDescription> Keyspaces { get; }

    /// <summary>The database index of a keyspace; -1 for none. Inside the mailbox.</summary>
    int FindKeyspace(ReadOnlySpan<byte> name);

    /// <summary>Makes a keyspace, durable when it returns; why not, or null. Belongs to the mailbox.</summary>
    string? CreateKeyspace(KeyspaceRequest request);

    /// <summary>
    /// Drops a keyspace with all that is in it, for good when it returns; its files go soon. Why not, or null. Belongs to the mailbox.
    /// </summary>
    /// <param name="name">Which.</param>
    /// <param name="database">The index that it had: nobody's from now on, if the keyspace is gone.</param>
    string? DropKeyspace(string name, out int database);

    /// <inheritdoc cref="KvasirNode.SetDurability"/>
    void SetDurability(Durability durability);

    /// <inheritdoc cref="KvasirNode.Files"/>
    IFileSystem Files { get; }

    /// <inheritdoc cref="KvasirNode.Checkpoint"/>
    void Checkpoint(string folder);

    /// <inheritdoc cref="KvasirNode.Reload"/>
    void Reload();

    /// <inheritdoc cref="KvasirNode.MakeRoomForDeletion"/>
    bool MakeRoomForDeletion();

    /// <inheritdoc cref="KvasirNode.BeginConversion"/>
    string? BeginConversion(string keyspace, string engine);

    /// <inheritdoc cref="KvasirNode.ConversionOf"/>
    ConversionStatus? ConversionOf(string keyspace);

    /// <inheritdoc cref="KvasirNode.AbortConversion"/>
    string? AbortConversion(string keyspace);
}
