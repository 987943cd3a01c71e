using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm;

/// <summary>Opens log-structured merge trees.</summary>
public sealed class LsmEngineFactory : IEngineFactory
{
    private readonly LsmOptions _options;

    public LsmEngineFactory(LsmOptions? options = null) => _options = options ?? new LsmOptions();

    public string Name => "lsm";

    public IStorageEngine Open(string folder, EngineEnvironment environment) => OpenOrdered(folder, environment);

    /// <summary>As <see cref="Open"/>, for callers that need the order of keys.</summary>
    public IOrderedEngine OpenOrdered(string folder, EngineEnvironment environment) =>
        new LsmEngine(TableStore.Open(folder, environment, _options), environment, _options);
}
