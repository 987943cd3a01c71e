using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Embedded;

/// <summary>A batch for each thread, for writes of one key. A batch may not be larger than a mebibyte when it is kept.</summary>
internal static class BatchPool
{
    [ThreadStatic]
    private static WriteBatch? t_spare;

    public static WriteBatch Rent()
    {
        WriteBatch batch = t_spare ?? new WriteBatch();
        t_spare = null;
        return batch;
    }

    public static void Return(WriteBatch batch)
    {
        batch.Clear();
        t_spare = batch;
    }
}
