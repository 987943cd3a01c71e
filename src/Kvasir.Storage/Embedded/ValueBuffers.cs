namespace Kvasir.Storage.Embedded;

/// <summary>Buffers for values on their way to callers, some for each thread, so that steady state allocates nothing.</summary>
internal static class ValueBuffers
{
    private const int KeptPerThread = 4;
    private const int KeptBytes = 1 << 20;

    [ThreadStatic]
    private static Stack<PooledValue>? t_spare;

    public static PooledValue Rent() => t_spare is { } spare && spare.TryPop(out PooledValue? value) ? value : new PooledValue();

    /// <summary>Ends that use; does nothing where it is over.</summary>
    public static void Return(PooledValue value, int use)
    {
        if (!value.TryEnd(use))
            return;
        value.Bytes.ClearAndTrim(KeptBytes);
        Stack<PooledValue> spare = t_spare ??= new Stack<PooledValue>(KeptPerThread);
        if (spare.Count < KeptPerThread)
            spare.Push(value);
    }
}
