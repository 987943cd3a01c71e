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
    private const int Length = 36;
    private const uint FounderFlag = 1;

    private static ReadOnlySpan<byte> Magic => "KVCLUST\n"u8;

    public static ClusterMembership? Find(IFileSystem files, string folder)
    {
        string path = folder + "/" + Name;
        return files.FileExists(path) ? Read(files, path) : null;
    }

    public static void Write(IFileSystem files, string folder, ClusterMembership membership)
    {
        Span<byte> bytes = stackalloc byte[Length];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], FormatVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], membership.IsFounder ? FounderFlag : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], membership.Cluster);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], membership.Node.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[(Length - 4)..], Crc32C.Compute(bytes[..(Length - 4)]));
        string path = folder + "/" + Name;
        string temporary = path + ".new";
        if (files.FileExists(temporary))
            files.Delete(temporary);
        using (IFile file = files.Open(temporary, FileOpenMode.CreateNew))
        {
            file.Write(bytes, 0);
            file.Sync(SyncMode.Full);
        }

        files.Rename(temporary, path);
        files.SyncFolder(folder);
    }

    public static ClusterMembership Read(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        Span<byte> bytes = stackalloc byte[Length];
        if (file.Length != Length || file.Read(bytes, 0) != Length)
            throw new CorruptionException(path, 0, $"it is {file.Length} bytes long instead of {Length}");
        if (!bytes[..8].SequenceEqual(Magic))
            throw new CorruptionException(path, 0, "it does not begin with the magic of a cluster's membership");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[^4..]) != Crc32C.Compute(bytes[..^4]))
            throw new CorruptionException(path, 0, "its checksum does not match");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version > FormatVersion)
            throw new FormatTooNewException(path, version, FormatVersion);
        var membership = new ClusterMembership(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            new NodeId(BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])),
            (BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) & FounderFlag) != 0);
        if (membership.Cluster == 0 || membership.Node.IsNone)
            throw new CorruptionException(path, 16, "it names no cluster or no node");
        return membership;
    }
}
