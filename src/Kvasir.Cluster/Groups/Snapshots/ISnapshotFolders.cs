using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>Where replicas' engines lie, as far as snapshots need to know. Inside the mailbox.</summary>
internal interface ISnapshotFolders
{
    /// <summary>The disk.</summary>
    IFileSystem Files { get; }

    /// <summary>The files of such an engine may be copied.</summary>
    bool ShipsFiles(string engine);

    /// <summary>A folder that is not there yet, for files on their way to another node. What is left of it at a start goes.</summary>
    string NextOutgoing(GroupId group);

    /// <summary>An empty folder beside the one that the replica has.</summary>
    /// <param name="group">The replica's.</param>
    /// <param name="name">Which engine it is to have.</param>
    string BeginCopy(RaftGroup group, out string name);

    /// <summary>Where the replica's own engine lies.</summary>
    string FolderOf(RaftGroup group);

    /// <summary>Looks at every byte of a file that was copied; throws <see cref="StorageException"/> where it is not whole. Any thread.</summary>
    void VerifyCopied(string path, string name);

    /// <summary>Opens the engine whose files were copied into the folder. Any thread.</summary>
    IStorageEngine OpenCopied(string folder, string name);

    /// <summary>An empty engine, of the kind that the replica shall have, in a new folder beside the one that it has.</summary>
    /// <param name="group">The replica's.</param>
    /// <param name="folder">Which folder.</param>
    /// <param name="name">Which engine.</param>
    IStorageEngine OpenIncoming(RaftGroup group, out string folder, out string name);

    /// <summary>
    /// Writes down, durably, that this folder is the replica's once its log begins behind the index; a start keeps to that.
    /// </summary>
    void Mark(RaftGroup group, string folder, LogIndex index);

    /// <summary>All that the replica had before this folder is deleted. The engines of it are closed.</summary>
    void DiscardBefore(RaftGroup group, string folder);

    /// <summary>The folder is not the replica's, and is deleted with its mark. Its engine is closed.</summary>
    void Discard(RaftGroup group, string folder);
}
