using System.Runtime.InteropServices;

namespace Kvasir.Primitives;

/// <summary>
/// Memory outside the garbage-collected heap for what is large and read at random. From two megabytes on it is aligned
/// to, and asks the system for, huge pages: a random read then rarely misses the translation cache, which is a sixth to a
/// quarter of its cost. A system without them serves it all the same. Thread-safe; the caller frees, with the same size.
/// </summary>
public static unsafe partial class BulkMemory
{
    /// <summary>The size and alignment of a huge page, and the least that asks for one.</summary>
    public const int HugePageBytes = 2 << 20;

    private const int AdviseHugePages = 14;

    /// <summary>Not zeroed.</summary>
    public static void* Allocate(long bytes)
    {
        Check.That(bytes > 0);
        if (bytes < HugePageBytes)
            return NativeMemory.Alloc((nuint)bytes);
        void* block = NativeMemory.AlignedAlloc((nuint)bytes, HugePageBytes);
        if (OperatingSystem.IsLinux())
            _ = Advise(block, (nuint)bytes, AdviseHugePages);
        return block;
    }

    public static void* AllocateZeroed(long bytes)
    {
        if (bytes < HugePageBytes)
            return NativeMemory.AllocZeroed((nuint)bytes);
        void* block = Allocate(bytes);
        NativeMemory.Clear(block, (nuint)bytes);
        return block;
    }

    public static void Free(void* block, long bytes)
    {
        if (bytes < HugePageBytes)
            NativeMemory.Free(block);
        else
            NativeMemory.AlignedFree(block);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
