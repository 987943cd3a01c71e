namespace Kvasir.Server.Peers;

/// <summary>Pinned arrays for bytes on their way out, so that the kernel can be pointed to them. Thread-safe.</summary>
internal sealed class ChunkPool
{
    public const int ChunkBytes = 64 << 10;

    private const int SparesMax = 64;

    private readonly Lock _lock = new();
    private readonly Stack<byte[]> _spares = new(SparesMax);

    public byte[] Take()
    {
        lock (_lock)
        {
            if (_spares.TryPop(out byte[]? spare))
                return spare;
        }

        return GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true);
    }

    public void Return(byte[] chunk)
    {
        lock (_lock)
        {
            if (_spares.Count < SparesMax)
                _spares.Push(chunk);
        }
    }
}
