using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Files;

public sealed class FolderTreeTests
{
    /// <summary>A store may be closed while a checkpoint of it is made.</summary>
    [Theory]
    [InlineData(typeof(ObjectDisposedException))]
    [InlineData(typeof(OperationCanceledException))]
    [InlineData(typeof(DiskFailedException))]
    public void WhatIsNotBuiltToItsEndGoes(Type failure)
    {
        var files = new SimulatedFileSystem(new SeededRandom(1));
        Exception thrown = failure == typeof(ObjectDisposedException) ? new ObjectDisposedException("store") : (Exception)Activator.CreateInstance(failure)!;
        Assert.Same(thrown, Assert.Throws(failure, () => FolderTree.Build(files, "/copy", () =>
        {
            files.CreateFolder("/copy/engine");
            files.WriteAll("/copy/engine/tree", [1]);
            throw thrown;
        })));
        Assert.False(files.FolderExists("/copy"));
    }
}
