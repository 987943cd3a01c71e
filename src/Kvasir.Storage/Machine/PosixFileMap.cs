using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Machine;

/// <summary>A shared mapping: Linux keeps one copy of a file's pages, so that writes of any descriptor show at once.</summary>
/// <remarks>Guarded by <see cref="BusErrorGuard"/>.</remarks>
internal sealed unsafe class PosixFileMap(byte* start, long length, long* broken) : IFileMap
{
    private byte* _start = start;

    public byte* Start => _start;

    public long Length { get; } = length;

    public long* Broken => broken;

    public void Dispose()
    {
        if (_start is null)
            return;
        BusErrorGuard.Release(broken);
        Check.That(LibC.Unmap(_start, (nuint)Length) == 0);
        _start = null;
    }
}
