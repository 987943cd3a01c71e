using System.Globalization;

namespace Kvasir.Samples.Tutorial;

/// <summary>
/// Step 3: writes are gathered in memory, in order, and written as a sorted segment when there are enough; sorted segments are merged as
/// two sorted lists are (O'Neil et al. 1996: the log-structured merge tree). The newest segment that has a key is right.
/// </summary>
/// <remarks>What is gathered is lost in a crash: the log of step 1 goes in front of it, and begins anew with each segment.</remarks>
internal sealed class SortedSegments(string folder) : ITutorialStore
{
    private const int GatheredMax = 20_000;
    private const int Ratio = 4;

    private readonly SortedDictionary<string, string> _gathered = new(StringComparer.Ordinal);

    // Newest first.
    private readonly List<SortedSegment> _segments = [];
    private int _made;

    public long DiskBytes => _segments.Sum(static s => s.Length);

    public long KeysInMemory => _gathered.Count + _segments.Sum(static s => s.IndexedKeys);

    public void Set(string key, string value)
    {
        _gathered[key] = value;
        if (_gathered.Count < GatheredMax)
            return;
        _segments.Insert(0, new SortedSegment(NextPath(), _gathered, _gathered.Count));
        _gathered.Clear();

        // Each is Ratio times larger than the one before, or they are merged: so there are few, and each record is copied seldom.
        while (_segments.Count > 1 && _segments[1].Count < Ratio * _segments[0].Count)
            MergeNewest();
    }

    public string? Get(string key)
    {
        if (_gathered.TryGetValue(key, out string? value))
            return value;
        foreach (SortedSegment segment in _segments)
        {
            if (segment.Get(key) is { } found)
                return found;
        }

        return null;
    }

    public void Dispose()
    {
        foreach (SortedSegment segment in _segments)
            segment.Dispose();
    }

    private void MergeNewest()
    {
        SortedSegment newer = _segments[0], older = _segments[1];
        _segments[1] = new SortedSegment(NextPath(), Merge(newer.ReadAll(), older.ReadAll()), newer.Count + older.Count);
        _segments.RemoveAt(0);
        newer.Delete();
        older.Delete();
    }

    private static IEnumerable<KeyValuePair<string, string>> Merge(
        IEnumerable<KeyValuePair<string, string>> newer, IEnumerable<KeyValuePair<string, string>> older)
    {
        using IEnumerator<KeyValuePair<string, string>> a = newer.GetEnumerator(), b = older.GetEnumerator();
        bool hasA = a.MoveNext(), hasB = b.MoveNext();
        while (hasA || hasB)
        {
            int order = !hasA ? 1 : !hasB ? -1 : string.CompareOrdinal(a.Current.Key, b.Current.Key);
            yield return order <= 0 ? a.Current : b.Current;
            if (order >= 0)
                hasB = b.MoveNext();
            if (order <= 0)
                hasA = a.MoveNext();
        }
    }

    private string NextPath() => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{++_made:D8}.sorted"));
}
