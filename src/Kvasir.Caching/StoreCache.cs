using System.Buffers;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Files;
using Microsoft.Extensions.Caching.Distributed;

namespace Kvasir.Caching;

/// <summary>
/// A cache in an embedded store: it survives restarts and may be larger than memory. Thread-safe. The store is the caller's to dispose
/// of; nobody else may write the keys of the cache.
/// </summary>
/// <remarks>
/// An entry with a sliding expiration lives at least that long after its last use, and at most a tenth longer. What has expired is
/// not served, and its space comes back with compactions. Nothing is evicted before its time: give entries one.
/// </remarks>
public sealed class StoreCache : IBufferDistributedCache
{
    private const int Stripes = 64;

    private readonly KeyValueStore _store;
    private readonly StoreCacheOptions _options;
    private readonly TimeProvider _time;
    private readonly byte[] _keyPrefix;

    // A renewal writes what it has read: nothing else may have been written to the key in between.
    private readonly Lock[] _locks = [.. Enumerable.Range(0, Stripes).Select(static _ => new Lock())];

    /// <param name="store">Where the entries are.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="time">The clock that entries expire by; null for the store's own, which another one must agree with.</param>
    public StoreCache(KeyValueStore store, StoreCacheOptions? options = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(store);
        _store = store;
        _options = options ?? new StoreCacheOptions();
        ArgumentNullException.ThrowIfNull(_options.KeyPrefix, nameof(options));
        if (_options.DefaultTimeToLive <= TimeSpan.Zero)
            throw new ArgumentOutOfRangeException(nameof(options), _options.DefaultTimeToLive, "entries must live for some time");
        _keyPrefix = Encoding.UTF8.GetBytes(_options.KeyPrefix);
        _time = time ?? store.Time;
    }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <inheritdoc/>
    public byte[]? Get(string key)
    {
        using var stored = new StoredKey(_keyPrefix, key, stackalloc byte[StoredKey.BytesOnStack]);
        byte[]? value;
        bool isDue;
        using (ValueLease lease = _store.Lease(stored.Bytes))
        {
            if (!TryOpen(lease, out isDue))
                return null;
            value = lease.Value[StoredEntry.HeaderBytes..].ToArray();
        }

        if (isDue)
            TryRenew(stored.Bytes);
        return value;
    }

    /// <inheritdoc/>
    public bool TryGet(string key, IBufferWriter<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        using var stored = new StoredKey(_keyPrefix, key, stackalloc byte[StoredKey.BytesOnStack]);
        bool isDue;
        using (ValueLease lease = _store.Lease(stored.Bytes))
        {
            if (!TryOpen(lease, out isDue))
                return false;
            destination.Write(lease.Value[StoredEntry.HeaderBytes..]);
        }

        if (isDue)
            TryRenew(stored.Bytes);
        return true;
    }

    /// <inheritdoc/>
    public void Set(string key, byte[] value, DistributedCacheEntryOptions options)
    {
        ArgumentNullException.ThrowIfNull(value);
        Set(key, new ReadOnlySequence<byte>(value), options);
    }

    /// <inheritdoc/>
    public void Set(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using var stored = new StoredKey(_keyPrefix, key, stackalloc byte[StoredKey.BytesOnStack]);
        StoredEntry entry = EntryOf(options);
        int bytes = checked(StoredEntry.HeaderBytes + (int)value.Length);
        byte[] rented = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            entry.Write(rented);
            value.CopyTo(rented.AsSpan(StoredEntry.HeaderBytes));
            lock (LockOf(stored.Bytes))
                _store.Put(stored.Bytes, rented.AsSpan(0, bytes), entry.TimeToLive(NowMs), _options.Durability);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <inheritdoc/>
    public void Refresh(string key)
    {
        using var stored = new StoredKey(_keyPrefix, key, stackalloc byte[StoredKey.BytesOnStack]);
        bool isDue;
        using (ValueLease lease = _store.Lease(stored.Bytes))
            TryOpen(lease, out isDue);
        if (isDue)
            Renew(stored.Bytes);
    }

    /// <inheritdoc/>
    public void Remove(string key)
    {
        using var stored = new StoredKey(_keyPrefix, key, stackalloc byte[StoredKey.BytesOnStack]);
        lock (LockOf(stored.Bytes))
            _store.Delete(stored.Bytes, _options.Durability);
    }

    /// <inheritdoc/>
    public Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        return Task.FromResult(Get(key));
    }

    /// <inheritdoc/>
    public ValueTask<bool> TryGetAsync(string key, IBufferWriter<byte> destination, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        return new ValueTask<bool>(TryGet(key, destination));
    }

    /// <inheritdoc/>
    public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        Set(key, value, options);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask SetAsync(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        Set(key, value, options);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public Task RefreshAsync(string key, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        Refresh(key);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task RemoveAsync(string key, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        Remove(key);
        return Task.CompletedTask;
    }

    /// <summary>False when there is none, or what is there is none of ours: a cache serves nothing that it does not understand.</summary>
    private bool TryOpen(in ValueLease lease, out bool isDue)
    {
        isDue = false;
        if (!lease.Found || !StoredEntry.TryRead(lease.Value, out StoredEntry entry))
            return false;
        isDue = lease.ExpiresAt is { } end && entry.IsDueForRenewal(NowMs, end.ToUnixTimeMilliseconds());
        return true;
    }

    /// <summary>Of what is served in any case: where the disk is full or has failed, it goes at the time that it had.</summary>
    private void TryRenew(ReadOnlySpan<byte> stored)
    {
        try
        {
            Renew(stored);
        }
        catch (WritesStoppedException)
        {
        }
    }

    private void Renew(ReadOnlySpan<byte> stored)
    {
        lock (LockOf(stored))
        {
            using ValueLease lease = _store.Lease(stored);
            if (TryOpen(lease, out bool isDue) && isDue && StoredEntry.TryRead(lease.Value, out StoredEntry entry))
                _store.Put(stored, lease.Value, entry.TimeToLive(NowMs), _options.Durability);
        }
    }

    private StoredEntry EntryOf(DistributedCacheEntryOptions options)
    {
        long nowMs = NowMs;
        long? absoluteMs = null;
        if (options.AbsoluteExpirationRelativeToNow is { } life)
            absoluteMs = After(nowMs, life);
        else if (options.AbsoluteExpiration is { } at)
            absoluteMs = at.ToUnixTimeMilliseconds();
        long slidingMs = options.SlidingExpiration is { } sliding ? Math.Min(Milliseconds(sliding), StoredEntry.LatestMs) : 0;
        if (absoluteMs is null && slidingMs == 0 && _options.DefaultTimeToLive is { } standard)
            absoluteMs = After(nowMs, standard);
        if (absoluteMs <= nowMs)
            throw new ArgumentOutOfRangeException(nameof(options), options.AbsoluteExpiration, "the absolute expiration must lie in the future");
        return new StoredEntry(slidingMs, absoluteMs ?? 0);
    }

    /// <summary>Whoever wants an entry for ever says so with the greatest time that there is.</summary>
    private static long After(long nowMs, TimeSpan life) => Math.Min(nowMs + Milliseconds(life), StoredEntry.LatestMs);

    private static long Milliseconds(TimeSpan time) => Math.Max(time.Ticks / TimeSpan.TicksPerMillisecond, 1);

    private Lock LockOf(ReadOnlySpan<byte> stored) => _locks[StableHash.Hash64(stored) % Stripes];
}
