namespace Kvasir.Samples.Tutorial;

/// <summary>A segment whose records are in the order of their keys: an SSTable. In memory is one key of each block, and a filter.</summary>
internal sealed class SortedSegment : IDisposable
{
    private const long BlockBytes = 4096;

    private readonly RecordFile _file;
    private readonly List<(string Key, long At)> _index = [];
    private readonly KeyFilter _filter;

    /// <summary>Writes a new one.</summary>
    public SortedSegment(string path, IEnumerable<KeyValuePair<string, string>> sorted, int keysAtMost)
    {
        _file = new RecordFile(path);
        _filter = new KeyFilter(keysAtMost);
        foreach ((string key, string value) in sorted)
        {
            Note(key, _file.Length);
            _file.Append(key, value);
            Count++;
        }

        _file.Flush();
    }

    public int Count { get; }

    public long Length => _file.Length;

    public int IndexedKeys => _index.Count;

    public string? Get(string key)
    {
        if (!_filter.MayHave(key))
            return null;

        // The last block that begins at or before the key is the only one that can have it.
        int low = 0, high = _index.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (string.CompareOrdinal(_index[middle].Key, key) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        if (low == 0)
            return null;
        long end = low < _index.Count ? _index[low].At : _file.Length;
        foreach ((_, string found, string value) in _file.ReadAll(_index[low - 1].At, end))
        {
            int order = string.CompareOrdinal(found, key);
            if (order >= 0)
                return order == 0 ? value : null;
        }

        return null;
    }

    public IEnumerable<KeyValuePair<string, string>> ReadAll() =>
        _file.ReadAll(0, _file.Length).Select(static r => KeyValuePair.Create(r.Key, r.Value));

    public void Dispose() => _file.Dispose();

    public void Delete()
    {
        _file.Dispose();
        File.Delete(_file.Path);
    }

    private void Note(string key, long at)
    {
        if (_index.Count == 0 || at - _index[^1].At >= BlockBytes)
            _index.Add((key, at));
        _filter.Add(key);
    }
}
