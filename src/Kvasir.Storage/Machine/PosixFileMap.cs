using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Machine;

/// <summary>A shared mapping: Linux keeps one copy of a file's pages, so that writes of any descriptor show at once.</summary>
internal sealed unsafe class PosixFileMap(byte* start, long length) : IFileMap
{
    private byte* _start = start;

    public byte* Start => _start;

    public long Length { get; } = length;

    public void Dispose()
    {
        if (_start is null)
            return;
        Check.That(LibC.Unmap(_start, (nuint)Length) == 0);
        _start = null;
    }
}
