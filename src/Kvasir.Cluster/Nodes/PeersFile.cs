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

    private static ReadOnlySpan<byte> Magic => "KVPEERS\n"u8;

    public static void Write(IFileSystem files, string folder, IReadOnlyCollection<NodeAddress> peers)
    {
        BytesBuffer bytes = SealedFile.Begin(Magic, FormatVersion);
        SealedFile.AppendNumber(bytes, (uint)peers.Count);
        foreach (NodeAddress peer in peers)
        {
            byte[] address = Encoding.UTF8.GetBytes(peer.PeerAddress);
            SealedFile.AppendNumber(bytes, peer.Node.Value);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.GetSpan(2), checked((ushort)address.Length));
            bytes.Advance(2);
            bytes.Append(address);
        }

        SealedFile.Replace(files, PathIn(folder), bytes);
    }

    public static IReadOnlyList<NodeAddress> Read(IFileSystem files, string folder)
    {
        string path = PathIn(folder);
        if (!files.FileExists(path))
            return [];
        try
        {
            return Decode(SealedFile.Read(files, path, Magic, FormatVersion, "nodes' addresses")[SealedFile.HeadBytes..]);
        }
        catch (Exception e) when (e is CorruptionException or FormatTooNewException)
        {
            return [];
        }
    }

    private static string PathIn(string folder) => folder + "/" + Name;

    private static List<NodeAddress> Decode(ReadOnlySpan<byte> rest)
    {
        if (rest.Length < 4)
            return [];
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        rest = rest[4..];
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
