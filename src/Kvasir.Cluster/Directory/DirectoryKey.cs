using System.Buffers.Binary;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>What a key of the directory names. Persisted: letters are never changed or reused.</summary>
internal enum DirectoryKind : byte
{
    /// <summary>Not a key of the directory, or one of a kind that this version does not know.</summary>
    Other = 0,
    Cluster = (byte)'c',
    Counters = (byte)'i',
    Node = (byte)'n',
    Keyspace = (byte)'k',
    Group = (byte)'g',
}

/// <summary>
/// A key of the directory: <c>D</c>, a letter for the kind, and the number big-endian, so that records lie in the order of their
/// numbers (docs/formats/directory.md).
/// </summary>
internal readonly record struct DirectoryKey(DirectoryKind Kind, ulong Number)
{
    public static readonly DirectoryKey Cluster = new(DirectoryKind.Cluster, 0);
    public static readonly DirectoryKey Counters = new(DirectoryKind.Counters, 0);

    /// <summary>All keys of the directory, and no others of the system keyspace, are in [first, end).</summary>
    public static ReadOnlySpan<byte> First => "D"u8;

    public static ReadOnlySpan<byte> End => "E"u8;

    public static DirectoryKey Of(NodeId id) => new(DirectoryKind.Node, id.Value);

    public static DirectoryKey Of(KeyspaceId id) => new(DirectoryKind.Keyspace, id.Value);

    public static DirectoryKey Of(GroupId id) => new(DirectoryKind.Group, id.Value);

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[2 + NumberLength(Kind)];
        bytes[0] = First[0];
        bytes[1] = (byte)Kind;
        if (NumberLength(Kind) == 8)
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(2), Number);
        else if (NumberLength(Kind) == 4)
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(2), (uint)Number);
        return bytes;
    }

    /// <summary>False when the bytes begin like a known key and are none.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out DirectoryKey key)
    {
        key = default;
        if (bytes.Length < 2 || bytes[0] != First[0])
            return true;
        var kind = (DirectoryKind)bytes[1];
        if (kind is not (DirectoryKind.Cluster or DirectoryKind.Counters or DirectoryKind.Node or DirectoryKind.Keyspace or DirectoryKind.Group))
            return true;
        int length = NumberLength(kind);
        if (bytes.Length != 2 + length)
            return false;
        ulong number = length switch
        {
            8 => BinaryPrimitives.ReadUInt64BigEndian(bytes[2..]),
            4 => BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]),
            _ => 0,
        };
        key = new DirectoryKey(kind, number);
        return length == 0 || number != 0;
    }

    private static int NumberLength(DirectoryKind kind) => kind switch
    {
        DirectoryKind.Node => 8,
        DirectoryKind.Keyspace or DirectoryKind.Group => 4,
        _ => 0,
    };
}
