using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// The file that makes a folder a node's: its format version and the node's identity (docs/formats/node.md). Written
/// before anything else lies in the folder, and again when the journal or a keyspace was made; a folder that has data and no identity is damaged, and refused.
/// </summary>
internal static class IdentityFile
{
    public const string Name = "NODE";
    private const uint FormatVersion = 2;
    private const int SealedBytes = 36;

    // Version 1 ended with its checksum where the journal stands now.
    private const int FirstSealedBytes = 28;
    private const uint JournalFlag = 1;
    private const uint UnsyncedFlag = 2;
    private const uint TableFlag = 4;
    private const uint FlushedFlag = 8;

    private static ReadOnlySpan<byte> Magic => "KVNODE\r\n"u8;

    public static NodeIdentity ReadOrCreate(IFileSystem files, string folder, ulong newIdentity)
    {
        string path = folder + "/" + Name;
        if (files.FileExists(path))
        {
            // The name may be in the page cache only, from a start that was killed; what follows is durable before it.
            files.SyncFolder(folder);
            return Read(files, path);
        }

        if (files.FileExists(folder + "/STORE"))
            throw new StorageException($"{folder} is the folder of an embedded store (it has STORE): give the server one of its own");

        // It is there before anything else is.
        if (files.FolderExists(folder + "/" + KvasirNode.KeyspacesFolder) || files.FolderExists(folder + "/" + KvasirNode.JournalFolder))
            throw new FileMissingException(path);
        NodeIdentity created = new(newIdentity, HasJournal: false, DatabaseCount: 0, JournalId: 0, HasUnsynced: false);
        Write(files, folder, created);
        return created;
    }

    public static void Write(IFileSystem files, string folder, NodeIdentity identity)
    {
        BytesBuffer bytes = SealedFile.Begin(Magic, FormatVersion);
        SealedFile.AppendNumber(bytes, (identity.HasJournal ? JournalFlag : 0) | (identity.HasUnsynced ? UnsyncedFlag : 0)
            | (identity.HasKeyspaceTable ? TableFlag : 0) | (identity.HasFlushed ? FlushedFlag : 0));
        SealedFile.AppendNumber(bytes, identity.Id);
        SealedFile.AppendNumber(bytes, (uint)identity.DatabaseCount);
        SealedFile.AppendNumber(bytes, identity.JournalId);
        SealedFile.Replace(files, folder + "/" + Name, bytes);
    }

    public static NodeIdentity Read(IFileSystem files, string path)
    {
        ReadOnlySpan<byte> bytes = SealedFile.Read(files, path, Magic, FormatVersion, "a node's identity");
        bool first = bytes.Length == FirstSealedBytes;
        if (!first && bytes.Length != SealedBytes)
            throw new CorruptionException(path, 0, $"it has {bytes.Length} bytes before its checksum instead of {SealedBytes}");
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
        int databases = BinaryPrimitives.ReadInt32LittleEndian(bytes[24..]);
        if (databases < 0)
            throw new CorruptionException(path, 24, $"it tells of {databases} databases");
        return new NodeIdentity(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            (flags & JournalFlag) != 0,
            databases,
            first ? 0 : BinaryPrimitives.ReadUInt64LittleEndian(bytes[28..]),
            first || (flags & UnsyncedFlag) != 0)
        {
            HasKeyspaceTable = (flags & TableFlag) != 0,
            HasFlushed = (flags & FlushedFlag) != 0,
        };
    }
}

/// <summary>Who a folder's node is.</summary>
/// <param name="Id">Drawn when the folder was made.</param>
/// <param name="HasJournal">
/// The folder has had a journal: one that is missing now is a loss. A checkpoint has none until it is first opened.
/// </param>
/// <param name="DatabaseCount">
/// So many databases, and the system keyspace, were made: one that is missing now is a loss. 0 until the first start is
/// completed, and in folders made before this was recorded.
/// </param>
/// <param name="JournalId">The folder's own journal: another one is somebody else's. 0 where none was recorded.</param>
/// <param name="HasUnsynced">
/// A keyspace whose durability is less than <c>sync</c> may have files that hold more than the journal does after a loss of
/// power. Where that cannot be, a journal that ends before what the files hold is an older copy.
/// </param>
internal readonly record struct NodeIdentity(ulong Id, bool HasJournal, int DatabaseCount, ulong JournalId, bool HasUnsynced)
{
    /// <summary>The folder has had a <see cref="KeyspaceTableFile"/>: one that is missing now is a loss.</summary>
    public bool HasKeyspaceTable { get; init; }

    /// <summary>The folder has had a <see cref="Storage.Journal.FlushedFile"/>: one that is missing now is a loss.</summary>
    public bool HasFlushed { get; init; }
}
