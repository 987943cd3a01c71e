using System.Buffers.Binary;
using System.Text;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Where the other nodes were last (docs/formats/node.md): when all nodes start at once, none has applied a directory yet that
/// says so, and without a majority none will. Only a hint: one that is missing or damaged is none.
/// </summary>
internal static class PeersFile
{
    public const string Name = "PEERS";
    private const uint FormatVersion = 1;
    private const int HeaderBytes = 16;
    private const int ChecksumBytes = 4;
    private const int LengthMax = 16 << 20;

    private static ReadOnlySpan<byte> Magic => "KVPEERS\n"u8;

    public static void Write(IFileSystem files, string folder, IReadOnlyCollection<NodeAddress> peers)
    {
        var bytes = new BytesBuffer();
        bytes.Append(Magic);
        Span<byte> numbers = stackalloc byte[10];
        BinaryPrimitives.WriteUInt32LittleEndian(numbers, FormatVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[4..], (uint)peers.Count);
        bytes.Append(numbers[..8]);
        foreach (NodeAddress peer in peers)
        {
            byte[] address = Encoding.UTF8.GetBytes(peer.PeerAddress);
            BinaryPrimitives.WriteUInt64LittleEndian(numbers, peer.Node.Value);
            BinaryPrimitives.WriteUInt16LittleEndian(numbers[8..], checked((ushort)address.Length));
            bytes.Append(numbers);
            bytes.Append(address);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(numbers, Crc32C.Compute(bytes.WrittenSpan));
        bytes.Append(numbers[..ChecksumBytes]);
        string path = folder + "/" + Name;
        string temporary = path + ".new";
        if (files.FileExists(temporary))
            files.Delete(temporary);
        using (IFile file = files.Open(temporary, FileOpenMode.CreateNew))
        {
            file.Write(bytes.WrittenSpan, 0);
            file.Sync(SyncMode.Full);
        }

        files.Rename(temporary, path);
        files.SyncFolder(folder);
    }

    public static IReadOnlyList<NodeAddress> Read(IFileSystem files, string folder)
    {
        string path = folder + "/" + Name;
        if (!files.FileExists(path))
            return [];
        using IFile file = files.Open(path, FileOpenMode.Read);
        if (file.Length is < HeaderBytes + ChecksumBytes or > LengthMax)
            return [];
        byte[] bytes = new byte[file.Length];
        if (file.Read(bytes, 0) != bytes.Length || !bytes.AsSpan().StartsWith(Magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8)) != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(bytes.Length - ChecksumBytes)) != Crc32C.Compute(bytes.AsSpan(0, bytes.Length - ChecksumBytes)))
            return [];
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(12));
        ReadOnlySpan<byte> rest = bytes.AsSpan(HeaderBytes..^ChecksumBytes);
        List<NodeAddress> peers = [];
        for (uint i = 0; i < count; i++)
        {
            if (rest.Length < 10 || BinaryPrimitives.ReadUInt16LittleEndian(rest[8..]) is var length && rest.Length - 10 < length)
                return [];
            peers.Add(new NodeAddress(new NodeId(BinaryPrimitives.ReadUInt64LittleEndian(rest)), Encoding.UTF8.GetString(rest.Slice(10, length))));
            rest = rest[(10 + length)..];
        }

        return peers;
    }
}
