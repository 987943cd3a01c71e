namespace Kvasir.Storage.Embedded;

/// <summary>
/// A value in a buffer that goes back to its pool with <see cref="Dispose"/>: what <see cref="KeyValueStore.Lease"/> gives. It is nobody's
/// afterwards, and neither are spans of it. One thread at a time. The value is as durable as its write wanted to be.
/// </summary>
public readonly ref struct ValueLease
{
    private readonly PooledValue? _value;
    private readonly int _use;

    internal ValueLease(PooledValue value, DateTimeOffset? expiresAt)
    {
        _value = value;
        _use = value.Use;
        ExpiresAt = expiresAt;
    }

    /// <summary>Whether the key has a value. One thread at a time.</summary>
    public bool Found => _value is not null;

    /// <summary>The value; empty when there is none. Throws an <see cref="ObjectDisposedException"/> when the lease is over. One thread at a time.</summary>
    public ReadOnlySpan<byte> Value => _value is null ? default : _value.Read(_use);

    /// <summary>When it goes by itself; null for never. One thread at a time.</summary>
    public DateTimeOffset? ExpiresAt { get; }

    /// <summary>Gives the buffer back; a second call, of a copy of the lease, too, does nothing. One thread at a time.</summary>
    public void Dispose()
    {
        if (_value is not null)
            ValueBuffers.Return(_value, _use);
    }
}
