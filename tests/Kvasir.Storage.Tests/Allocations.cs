namespace Kvasir.Storage.Tests;

internal static class Allocations
{
    private const int Calls = 500;
    private const int Windows = 8;

    /// <summary>
    /// Bytes of the thread that one call takes in the best of some windows: the first ones compile, and grow buffers to their size, and a
    /// journal's buffer does so now and then; and a collection that another thread needs counts the rest of this one's block as allocated.
    /// </summary>
    public static long Least(Action call)
    {
        for (int i = 0; i < Calls; i++)
            call();
        long least = long.MaxValue;
        for (int window = 0; window < Windows; window++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < Calls; i++)
                call();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least / Calls;
    }
}
