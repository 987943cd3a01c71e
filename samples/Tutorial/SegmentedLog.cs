using System.Globalization;

namespace Kvasir.Samples.Tutorial;

/// <summary>
/// Step 2: the log in segments. A full one is never written again, so what is still valid of several can be copied into a new one
/// while reads go on, and the old ones can go.
/// </summary>
internal sealed class SegmentedLog : ITutorialStore
{
    private const long SegmentBytes = 4 << 20;

    private readonly string _folder;
    private readonly SortedDictionary<int, RecordFile> _segments = [];
    private readonly Dictionary<string, (int Segment, long At)> _places = new(StringComparer.Ordinal);
    private long _liveBytes;

    public SegmentedLog(string folder)
    {
        _folder = folder;
        foreach (string path in Directory.GetFiles(folder, "*.segment"))
            _segments.Add(int.Parse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture), new RecordFile(path));
        foreach ((int number, RecordFile segment) in _segments)
        {
            foreach ((long at, string key, string value) in segment.ReadAll(0, segment.Length))
                Place(key, value, number, at);
        }

        Begin(_segments.Keys.LastOrDefault() + 1);
    }

    public long DiskBytes => _segments.Values.Sum(static s => s.Length);

    public long KeysInMemory => _places.Count;

    private (int Number, RecordFile File) Last => (_segments.Keys.Last(), _segments.Values.Last());

    public void Set(string key, string value)
    {
        (int number, RecordFile file) = Last;
        Place(key, value, number, file.Append(key, value));
        if (file.Length < SegmentBytes)
            return;
        if (DiskBytes > (2 * _liveBytes) + SegmentBytes)
            Merge();
        Begin(_segments.Keys.Last() + 1);
    }

    public string? Get(string key) => _places.TryGetValue(key, out (int Segment, long At) place) ? _segments[place.Segment].ReadValue(place.At) : null;

    public void Dispose()
    {
        foreach (RecordFile segment in _segments.Values)
            segment.Dispose();
    }

    /// <summary>Copies what the index still points to, segment by segment, behind the last one.</summary>
    private void Merge()
    {
        int[] old = [.. _segments.Keys];
        Begin(old[^1] + 1);
        foreach (int number in old)
        {
            RecordFile segment = _segments[number];
            foreach ((long at, string key, string value) in segment.ReadAll(0, segment.Length))
            {
                if (_places[key] != (number, at))
                    continue;
                if (Last.File.Length >= SegmentBytes)
                    Begin(Last.Number + 1);
                (int to, RecordFile file) = Last;
                _places[key] = (to, file.Append(key, value));
            }

            // Only now: a crash in between leaves the same record twice, which does no harm.
            Last.File.Flush();
            segment.Dispose();
            File.Delete(segment.Path);
            _segments.Remove(number);
        }
    }

    private void Place(string key, string value, int segment, long at)
    {
        if (!_places.ContainsKey(key))
            _liveBytes += key.Length + value.Length;
        _places[key] = (segment, at);
    }

    private void Begin(int number) =>
        _segments.Add(number, new RecordFile(Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{number:D8}.segment"))));
}
