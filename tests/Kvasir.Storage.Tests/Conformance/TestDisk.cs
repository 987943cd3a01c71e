using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>A disk of one kind, with a folder on it that goes when this is disposed.</summary>
internal sealed class TestDisk : IDisposable
{
    private const string SimulatedRoot = "/conformance";

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

        Root = SimulatedRoot;
        Simulated = new SimulatedFileSystem(new SeededRandom(seed));
        Files = new ObservedFileSystem(Simulated);
        Files.CreateFolder(Root);
    }

    /// <summary>What is left of a simulated one.</summary>
    public TestDisk(SimulatedFileSystem left)
    {
        _kind = DiskKind.Simulated;
        Root = SimulatedRoot;
        Simulated = left;
        Files = new ObservedFileSystem(left);
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

    public void FlipBit(string path, long offset, int bit)
    {
        using IFile file = Files.Open(path, FileOpenMode.ReadWrite);
        Span<byte> one = stackalloc byte[1];
        Assert.Equal(1, file.Read(one, offset));
        one[0] ^= (byte)(1 << bit);
        file.Write(one, offset);
    }

    /// <summary>Of a real one: all files as they are.</summary>
    public TestDisk Copy()
    {
        var copy = new TestDisk(DiskKind.Real);
        foreach (string folder in Directory.GetDirectories(Root, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(copy.Root + folder[Root.Length..]);
        foreach (string file in Directory.GetFiles(Root, "*", SearchOption.AllDirectories))
            File.WriteAllBytes(copy.Root + file[Root.Length..], IsLock(file) ? [] : ReadAll(file));
        return copy;
    }

    /// <summary>Nothing that anybody reads is in one. Who opened and closed it would take the lock from whoever of this process has it.</summary>
    public static bool IsLock(string path) => path.EndsWith("/LOCK", StringComparison.Ordinal) || path.EndsWith(".lock", StringComparison.Ordinal);

    public void Dispose()
    {
        if (_kind == DiskKind.Real)
            Directory.Delete(Root, recursive: true);
    }
}
