namespace Kvasir.Samples.Tutorial;

/// <summary>What every step of the tutorial can do. Keys and values are text, for reading; one thread.</summary>
internal interface ITutorialStore : IDisposable
{
    void Set(string key, string value);

    string? Get(string key);

    /// <summary>What its files take.</summary>
    long DiskBytes { get; }

    /// <summary>Keys that it holds in memory to find the others.</summary>
    long KeysInMemory { get; }
}
