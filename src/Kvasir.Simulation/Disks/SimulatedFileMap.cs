using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Disks;

/// <summary>
/// Memory that follows what programs see of a simulated file. Beyond the file's end it holds a pattern that no page has, where
/// a machine would count a fault.
/// </summary>
internal sealed unsafe class SimulatedFileMap : IFileMap
{
    private const byte Beyond = 0xEE;

    private readonly Lock _lock = new();
    private readonly long* _broken = (long*)NativeMemory.AllocZeroed(sizeof(long));
    private byte* _start;

    public SimulatedFileMap(long length)
    {
        Length = length;
        _start = (byte*)BulkMemory.Allocate(length);
        new Span<byte>(_start, checked((int)length)).Fill(Beyond);
    }

    public byte* Start => _start;

    public long Length { get; }

    public long* Broken => _broken;

    public bool IsDisposed => _start is null;

    /// <summary>Takes over a part that has changed.</summary>
    public void Show(DiskImage image, long offset, long length)
    {
        lock (_lock)
        {
            int count = (int)Math.Clamp(Length - offset, 0, Math.Max(length, 0));
            if (_start is null || count == 0)
                return;
            var target = new Span<byte>(_start + offset, count);
            int read = image.Read(target, offset);
            target[read..].Fill(Beyond);
        }
    }

    /// <summary>A page that cannot be read: zeros, and counted at once, where a machine counts when somebody reads there.</summary>
    public void Fail(long offset, int length)
    {
        lock (_lock)
        {
            if (_start is null)
                return;
            new Span<byte>(_start + offset, length).Clear();
            Volatile.Write(ref *_broken, 1);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_start is null)
                return;
            BulkMemory.Free(_start, Length);
            NativeMemory.Free(_broken);
            _start = null;
        }
    }
}
