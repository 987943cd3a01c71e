namespace Kvasir.Samples.Tutorial;

/// <summary>Step 1: the same log, and in memory where each key was written last (Bitcask's idea).</summary>
internal sealed class HashIndexedLog : ITutorialStore
{
    private readonly RecordFile _log;
    private readonly Dictionary<string, long> _places = new(StringComparer.Ordinal);

    public HashIndexedLog(string folder)
    {
        _log = new RecordFile(Path.Combine(folder, "log"));
        foreach ((long at, string key, _) in _log.ReadAll(0, _log.Length))
            _places[key] = at;
    }

    public long DiskBytes => _log.Length;

    public long KeysInMemory => _places.Count;

    public void Set(string key, string value) => _places[key] = _log.Append(key, value);

    public string? Get(string key) => _places.TryGetValue(key, out long at) ? _log.ReadValue(at) : null;

    public void Dispose() => _log.Dispose();
}
