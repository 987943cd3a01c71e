using Kvasir.Storage.Store;

namespace Kvasir.Caching;

/// <summary>How a <see cref="StoreCache"/> keeps its entries.</summary>
public sealed record StoreCacheOptions
{
    /// <summary>Put before every key: several caches may share a store.</summary>
    public string KeyPrefix { get; init; } = "";

    /// <summary>The life of entries whose own options say nothing; null for no end.</summary>
    public TimeSpan? DefaultTimeToLive { get; init; }

    /// <summary>
    /// A cache can be filled again, so by default a write waits for no disk: the last seconds may be gone when the machine dies, none when
    /// the process does.
    /// </summary>
    public WriteDurability Durability { get; init; } = WriteDurability.None;
}
