namespace Kvasir.Server.Peers;

/// <summary>
/// Pinned arrays for bytes on their way out, so that the kernel can be pointed to them. Those that a burst left behind go back
/// to the system by and by. Thread-safe.
/// </summary>
internal sealed class ChunkPool
{
    public const int ChunkBytes = 64 << 10;

    private readonly Lock _lock = new();
    private readonly Stack<byte[]> _spares = [];

    // Nobody has needed so many of them since the last trim.
    private int _idle;

    public byte[] Take()
    {
        lock (_lock)
        {
            if (_spares.TryPop(out byte[]? spare))
            {
                _idle = Math.Min(_idle, _spares.Count);
                return spare;
            }
        }

        return GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true);
    }

    public void Return(byte[] chunk)
    {
        lock (_lock)
            _spares.Push(chunk);
    }

    /// <summary>Lets go of some that nobody has needed for a while. Called by the clock, a few times a second.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            for (int i = (_idle + 15) / 16; i > 0; i--)
                _spares.Pop();
            _idle = _spares.Count;
        }
    }
}
