using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>A disk of one kind, with a folder on it that goes when this is disposed.</summary>
internal sealed class TestDisk : IDisposable
{
    private readonly DiskKind _kind;

    public TestDisk(DiskKind kind, ulong seed = 1)
    {
        _kind = kind;
        if (kind == DiskKind.Real)
        {
            Root = Directory.CreateTempSubdirectory("kvasir-conformance-").FullName;
            Files = new ObservedFileSystem(new PosixFileSystem());
            return;
        }

        Root = "/conformance";
        Simulated = new SimulatedFileSystem(new SeededRandom(seed));
        Files = new ObservedFileSystem(Simulated);
        Files.CreateFolder(Root);
    }

    public string Root { get; }

    public ObservedFileSystem Files { get; }

    /// <summary>Null where the disk is real.</summary>
    public SimulatedFileSystem? Simulated { get; }

    /// <summary>Paths of all files in a folder, ascending.</summary>
    public List<string> FilesIn(string folder) => [.. Files.ListFiles(folder).Select(name => folder + "/" + name)];

    public byte[] ReadAll(string path)
    {
        using IFile file = Files.Open(path, FileOpenMode.Read);
        byte[] bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.Read(bytes, 0));
        return bytes;
    }

    public void WriteAll(string path, ReadOnlySpan<byte> bytes)
    {
        if (Files.FileExists(path))
            Files.Delete(path);
        using IFile file = Files.Open(path, FileOpenMode.CreateNew);
        file.Write(bytes, 0);
    }

    public void Dispose()
    {
        if (_kind == DiskKind.Real)
            Directory.Delete(Root, recursive: true);
    }
}
