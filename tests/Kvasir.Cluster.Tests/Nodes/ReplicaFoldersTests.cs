using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class ReplicaFoldersTests
{
    private readonly SimulatedFileSystem _files = new(new SeededRandom(1));

    [Fact]
    public void AFolderThatCameToNothingIsNobodyElsesAfterwards()
    {
        ReplicaFolders folders = new(_files, "/data/replicas", static (_, _) => throw new InvalidOperationException());
        GroupId group = new(3), other = new(4);
        string withdrawn = folders.Reserve(group);
        FolderTree.Remove(_files, withdrawn);
        string next = folders.Reserve(group);

        // A conversion that was withdrawn removes what it made once more when it is stopped, by which time a snapshot may have come.
        FolderTree.Remove(_files, withdrawn);
        Assert.True(_files.FolderExists(next));
        Assert.Equal("/data/replicas/3.2", next);
        Assert.Equal("/data/replicas/4.1", folders.Reserve(other));
    }
}
