using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>Where replicas' engines lie, as far as snapshots need to know. Inside the mailbox.</summary>
internal interface ISnapshotFolders
{
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
