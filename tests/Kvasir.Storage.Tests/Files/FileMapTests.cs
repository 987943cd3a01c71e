using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Files;

/// <summary>A map shows the file as reads would, on the machine and on the simulated disk.</summary>
public sealed unsafe class FileMapTests : IDisposable
{
    private readonly string _folder = Path.Join(Path.GetTempPath(), $"kvasir-map-{Guid.NewGuid():N}");

    public FileMapTests() => Directory.CreateDirectory(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhatIsWrittenLaterShowsInTheMapToo(bool isSimulated)
    {
        IFileSystem files = isSimulated ? new SimulatedFileSystem(new SeededRandom(1)) : new PosixFileSystem();
        files.CreateFolder(_folder);
        using IFile file = files.Open(Path.Join(_folder, "f"), FileOpenMode.CreateNew);
        file.Write("first"u8, 0);
        using IFileMap map = file.Map(1 << 20)!;
        Assert.Equal(1 << 20, map.Length);
        Assert.Equal("first"u8, new ReadOnlySpan<byte>(map.Start, 5));
        file.Write("later"u8, 0);
        Assert.Equal("later"u8, new ReadOnlySpan<byte>(map.Start, 5));

        // The file grows below the map's addresses, and the gap is zero.
        file.Write("far"u8, 100_000);
        Assert.Equal("far"u8, new ReadOnlySpan<byte>(map.Start + 100_000, 3));
        Assert.False(new ReadOnlySpan<byte>(map.Start + 5, 99_995).ContainsAnyExcept((byte)0));
        file.SetLength(2);
        file.SetLength(50_000);
        Assert.Equal("la\0\0\0"u8, new ReadOnlySpan<byte>(map.Start, 5));
    }

    [Fact]
    public void DamageToASimulatedFileShowsInItsMap()
    {
        var files = new SimulatedFileSystem(new SeededRandom(2));
        files.WriteAll("/d/f", [1, 2, 3]);
        using IFile file = files.Open("/d/f", FileOpenMode.Read);
        using IFileMap map = file.Map(4096)!;
        files.FlipBit("/d/f", 1, 0);
        Assert.Equal((byte[])[1, 3, 3], new ReadOnlySpan<byte>(map.Start, 3).ToArray());
        files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Map));
        Assert.Throws<DiskFailedException>(() => file.Map(4096));
    }
}
