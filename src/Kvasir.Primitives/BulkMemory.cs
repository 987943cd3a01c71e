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
    private const int ReadWrite = 1 | 2;
    private const int PrivateAnonymous = 2 | 32;

    /// <summary>Not zeroed.</summary>
    public static void* Allocate(long bytes)
    {
        Check.That(bytes > 0);
        if (bytes < HugePageBytes)
            return NativeMemory.Alloc((nuint)bytes);
        if (!OperatingSystem.IsLinux())
            return NativeMemory.AlignedAlloc((nuint)bytes, HugePageBytes);
        byte* block = MapAligned((nuint)RoundUp(bytes));
        _ = Advise(block, (nuint)bytes, AdviseHugePages);
        return block;
    }

    public static void* AllocateZeroed(long bytes)
    {
        if (bytes < HugePageBytes)
            return NativeMemory.AllocZeroed((nuint)bytes);
        void* block = Allocate(bytes);
        // What the system maps anew is zero.
        if (!OperatingSystem.IsLinux())
            NativeMemory.Clear(block, (nuint)bytes);
        return block;
    }

    public static void Free(void* block, long bytes)
    {
        if (bytes < HugePageBytes)
            NativeMemory.Free(block);
        else if (!OperatingSystem.IsLinux())
            NativeMemory.AlignedFree(block);
        else if (block != null)
            Check.That(Unmap(block, (nuint)RoundUp(bytes)) == 0);
    }

    /// <summary>Has the system find and clear the pages of a new block now, instead of at the first use of each.</summary>
    public static void Populate(void* block, long bytes)
    {
        for (long at = 0; at < bytes; at += Environment.SystemPageSize)
            Volatile.Write(ref ((byte*)block)[at], 0);
    }

    private static long RoundUp(long bytes) => (bytes + Environment.SystemPageSize - 1) & -Environment.SystemPageSize;

    // From the system itself: glibc serves such sizes from its arenas once some were freed, twice as much for each because
    // of the alignment, and does not give them back.
    private static byte* MapAligned(nuint bytes)
    {
        nuint mapped = bytes + HugePageBytes;
        nint start = Map(null, mapped, ReadWrite, PrivateAnonymous, -1, 0);
        if (start == -1)
            throw new OutOfMemoryException($"the system has no {bytes} bytes of memory");
        byte* from = (byte*)start;
        byte* block = (byte*)(((nuint)from + HugePageBytes - 1) & ~((nuint)HugePageBytes - 1));
        if (block != from)
            _ = Unmap(from, (nuint)(block - from));
        byte* end = block + bytes;
        if (end != from + mapped)
            _ = Unmap(end, (nuint)(from + mapped - end));
        return block;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(void* address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);
}
