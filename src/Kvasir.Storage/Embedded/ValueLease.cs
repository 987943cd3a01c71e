using Kvasir.Primitives;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// A value in a buffer that goes back to its pool with <see cref="Dispose"/>: what <see cref="KeyValueStore.Lease"/> gives. Dispose it
/// once; it is nobody's afterwards. One thread at a time.
/// </summary>
public readonly ref struct ValueLease
{
    private readonly BytesBuffer? _buffer;

    internal ValueLease(BytesBuffer? buffer, DateTimeOffset? expiresAt)
    {
        _buffer = buffer;
        ExpiresAt = expiresAt;
    }

    /// <summary>Whether the key has a value.</summary>
    public bool Found => _buffer is not null;

    /// <summary>The value; empty when there is none.</summary>
    public ReadOnlySpan<byte> Value => _buffer is null ? default : _buffer.WrittenSpan;

    /// <summary>When it goes by itself; null for never.</summary>
    public DateTimeOffset? ExpiresAt { get; }

    /// <summary>Gives the buffer back.</summary>
    public void Dispose()
    {
        if (_buffer is not null)
            ValueBuffers.Return(_buffer);
    }
}
