using Kvasir.Storage.Engines;

namespace Kvasir.Server.Hosting;

/// <summary>
/// How the memory that a server may take is divided: the runtime, its code and the buffers of ordinary clients have a
/// fixed part, engines the rest.
/// </summary>
public static class MemoryShares
{
    /// <summary>
    /// Measured, with some room: 55 MiB of a server that has just started, most of it code; 8 of journal buffers; the rest
    /// for garbage between two collections, code compiled again, and clients' buffers.
    /// </summary>
    public const long ReservedBytes = 96L << 20;

    /// <summary>Of the reserve: what the managed heap may be before its garbage is given back.</summary>
    public const long HeapBytes = 48L << 20;

    /// <summary>The least that leaves engines a share worth having. With less they have the least they work with, on top.</summary>
    public const long SmallestBytes = ReservedBytes + (2 * MemoryBudget.MinimumBytes);

    /// <summary>For memtables and caches, of a process that is to stay within <paramref name="processBytes"/>.</summary>
    public static long EngineBytes(long processBytes) => Math.Max(processBytes - ReservedBytes, MemoryBudget.MinimumBytes);
}
