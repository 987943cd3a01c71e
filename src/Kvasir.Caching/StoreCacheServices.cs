using Kvasir.Storage.Embedded;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;

namespace Kvasir.Caching;

/// <summary>The cache as a service.</summary>
public static class StoreCacheServices
{
    /// <summary>
    /// An <see cref="IDistributedCache"/> (and <see cref="IBufferDistributedCache"/>, which HybridCache uses) in a store of its own in that
    /// folder, which is opened with the first use and closed with the services. Of several calls the last one counts.
    /// </summary>
    public static IServiceCollection AddKvasirCache(
        this IServiceCollection services, string folder, StoreOptions? store = null, StoreCacheOptions? cache = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        services.AddSingleton(_ => new OwnedCache(folder, store ?? new StoreOptions(), cache));
        services.AddSingleton<IDistributedCache>(static s => s.GetRequiredService<OwnedCache>().Cache);
        services.AddSingleton<IBufferDistributedCache>(static s => s.GetRequiredService<OwnedCache>().Cache);
        return services;
    }

    private sealed class OwnedCache(string folder, StoreOptions store, StoreCacheOptions? cache) : IDisposable
    {
        private readonly Lock _lock = new();
        private OrderedStore? _store;
        private StoreCache? _cache;

        public StoreCache Cache
        {
            get
            {
                lock (_lock)
                {
                    _store ??= OrderedStore.Open(folder, store);
                    return _cache ??= new StoreCache(_store, cache, store.Time);
                }
            }
        }

        public void Dispose() => _store?.Dispose();
    }
}
