using Kvasir.Primitives;

namespace Kvasir.Storage.Embedded;

/// <summary>Buffers for values on their way to callers, some for each thread, so that steady state allocates nothing.</summary>
internal static class ValueBuffers
{
    private const int KeptPerThread = 4;
    private const int KeptBytes = 1 << 20;

    [ThreadStatic]
    private static Stack<BytesBuffer>? t_spare;

    public static BytesBuffer Rent() => t_spare is { } spare && spare.TryPop(out BytesBuffer? buffer) ? buffer : new BytesBuffer(1024);

    public static void Return(BytesBuffer buffer)
    {
        buffer.ClearAndTrim(KeptBytes);
        Stack<BytesBuffer> spare = t_spare ??= new Stack<BytesBuffer>(KeptPerThread);
        if (spare.Count < KeptPerThread)
            spare.Push(buffer);
    }
}
