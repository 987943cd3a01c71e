using System.Buffers.Binary;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>Which node of which cluster a folder is.</summary>
/// <param name="Cluster">The cluster's number.</param>
/// <param name="Node">This node's number in it.</param>
/// <param name="IsFounder">The cluster began in this folder.</param>
internal readonly record struct ClusterMembership(ulong Cluster, NodeId Node, bool IsFounder);

/// <summary>
/// The file that makes a folder a cluster node's (docs/formats/node.md). Written once, when the number was given, before
/// anything is promised under it.
/// </summary>
internal static class ClusterFile
{
    public const string Name = "CLUSTER";
    private const uint FormatVersion = 1;
    private const int SealedBytes = 32;
    private const uint FounderFlag = 1;

    private static ReadOnlySpan<byte> Magic => "KVCLUST\n"u8;

    public static ClusterMembership? Find(IFileSystem files, string folder)
    {
        string path = folder + "/" + Name;
        return files.FileExists(path) ? Read(files, path) : null;
    }

    public static void Write(IFileSystem files, string folder, ClusterMembership membership)
    {
        BytesBuffer bytes = SealedFile.Begin(Magic, FormatVersion);
        SealedFile.AppendNumber(bytes, membership.IsFounder ? FounderFlag : 0);
        SealedFile.AppendNumber(bytes, membership.Cluster);
        SealedFile.AppendNumber(bytes, membership.Node.Value);
        SealedFile.Replace(files, folder + "/" + Name, bytes);
    }

    public static ClusterMembership Read(IFileSystem files, string path)
    {
        ReadOnlySpan<byte> bytes = SealedFile.Read(files, path, Magic, FormatVersion, "a cluster's membership");
        if (bytes.Length != SealedBytes)
            throw new CorruptionException(path, 0, $"it has {bytes.Length} bytes before its checksum instead of {SealedBytes}");
        var membership = new ClusterMembership(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            new NodeId(BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])),
            (BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) & FounderFlag) != 0);
        if (membership.Cluster == 0 || membership.Node.IsNone)
            throw new CorruptionException(path, 16, "it names no cluster or no node");
        return membership;
    }
}
