using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Which keyspace each database index stands for: one byte an index under one key of the system keyspace, missing until
/// the first SWAPDB (docs/formats/node.md).
/// </summary>
internal static class DatabaseMapping
{
    private static ReadOnlySpan<byte> Key => "databases"u8;

    public static void Write(Execution execution, Replica system, ReadOnlySpan<Replica> databases)
    {
        byte[] streams = new byte[databases.Length];
        for (int i = 0; i < streams.Length; i++)
            streams[i] = checked((byte)databases[i].StreamId);
        execution.Put(system, Key, [], streams, expiresAtMs: 0);
    }

    /// <summary>The databases in the order of their indexes; <paramref name="replicas"/> has the system's first.</summary>
    public static Replica[] Read(Replica[] replicas)
    {
        BytesBuffer value = new(64);
        Replica[] databases = replicas[1..];
        if (!replicas[0].Engine.Get(Key, ReadView.Published, value).Found)
            return databases;
        if (value.Length > databases.Length)
            throw new StorageException($"the folder has {value.Length} databases; start with at least as many");
        for (int i = 0; i < value.Length; i++)
        {
            int stream = value.WrittenSpan[i];
            Check.That(stream >= 1 && stream < replicas.Length, $"database {i} stands for keyspace number {stream}");
            databases[i] = replicas[stream];
        }

        Check.That(databases.Distinct().Count() == databases.Length, $"two database indexes stand for one keyspace");
        return databases;
    }
}
