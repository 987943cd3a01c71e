using System.Runtime.InteropServices;

namespace Kvasir.Primitives;

/// <summary>
/// Memory outside the garbage-collected heap for what is large. From <see cref="MappedBytesMin"/> on it comes from the
/// system itself and goes back there at once: what an allocator keeps for later would be resident and counted by nobody.
/// From two megabytes on it is aligned to, and asks the system for, huge pages: a random read then rarely misses the
/// translation cache, which is a sixth to a quarter of its cost. A system without them serves it all the same.
/// Thread-safe; the caller frees, with the same size.
/// </summary>
public static unsafe partial class BulkMemory
{
    /// <summary>The size and alignment of a huge page, and the least that asks for one.</summary>
    public const int HugePageBytes = 2 << 20;

    /// <summary>The least that comes from the system itself, aligned to pages.</summary>
    public const int MappedBytesMin = 128 << 10;

    /// <summary>What the system gives and takes back at once.</summary>
    public static readonly int PageBytes = Environment.SystemPageSize;

    private const int AdviseUnused = 4;
    private const int AdviseHugePages = 14;
    private const int AdviseNoHugePages = 15;
    private const int ReadWrite = 1 | 2;
    private const int PrivateAnonymous = 2 | 32;
    private const int NotReserved = 0x4000;

    /// <summary>Not zeroed.</summary>
    public static void* Allocate(long bytes)
    {
        Check.That(bytes > 0);
        if (bytes < MappedBytesMin)
            return NativeMemory.Alloc((nuint)bytes);
        if (!OperatingSystem.IsLinux())
            return NativeMemory.AlignedAlloc((nuint)bytes, bytes < HugePageBytes ? (nuint)PageBytes : HugePageBytes);
        if (bytes < HugePageBytes)
            return MapAnywhere((nuint)RoundUp(bytes), PrivateAnonymous);
        byte* block = MapAligned((nuint)RoundUp(bytes));
        _ = Advise(block, (nuint)bytes, AdviseHugePages);
        return block;
    }

    public static void* AllocateZeroed(long bytes)
    {
        if (bytes < MappedBytesMin)
            return NativeMemory.AllocZeroed((nuint)bytes);
        void* block = Allocate(bytes);
        // What the system maps anew is zero.
        if (!OperatingSystem.IsLinux())
            NativeMemory.Clear(block, (nuint)bytes);
        return block;
    }

    public static void Free(void* block, long bytes)
    {
        if (bytes < MappedBytesMin)
            NativeMemory.Free(block);
        else if (!OperatingSystem.IsLinux())
            NativeMemory.AlignedFree(block);
        else if (block != null)
            Check.That(Unmap(block, (nuint)RoundUp(bytes)) == 0);
    }

    /// <summary>Has the system find and clear the pages of a new block now, instead of at the first use of each.</summary>
    public static void Populate(void* block, long bytes)
    {
        for (long at = 0; at < bytes; at += PageBytes)
            Volatile.Write(ref ((byte*)block)[at], 0);
    }

    /// <summary>
    /// Addresses, aligned to pages, that take memory page by page as they are written to, and never more than that.
    /// </summary>
    public static void* Reserve(long bytes)
    {
        Check.That(bytes >= MappedBytesMin);
        if (!OperatingSystem.IsLinux())
            return NativeMemory.AlignedAlloc((nuint)bytes, (nuint)PageBytes);
        byte* block = MapAnywhere((nuint)RoundUp(bytes), PrivateAnonymous | NotReserved);
        _ = Advise(block, (nuint)bytes, AdviseNoHugePages);
        return block;
    }

    /// <summary>Gives whole pages of a reserved block back to the system; they may be written to again.</summary>
    public static void Discard(void* pages, long bytes)
    {
        if (OperatingSystem.IsLinux())
            _ = Advise(pages, (nuint)bytes, AdviseUnused);
    }

    private static long RoundUp(long bytes) => (bytes + PageBytes - 1) & -PageBytes;

    private static byte* MapAnywhere(nuint bytes, int flags)
    {
        nint start = Map(null, bytes, ReadWrite, flags, -1, 0);
        if (start == -1)
            throw new OutOfMemoryException($"the system has no {bytes} bytes of memory");
        return (byte*)start;
    }

    private static byte* MapAligned(nuint bytes)
    {
        nuint mapped = bytes + HugePageBytes;
        byte* from = MapAnywhere(mapped, PrivateAnonymous);
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
