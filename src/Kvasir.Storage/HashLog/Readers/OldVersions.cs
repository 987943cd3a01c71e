namespace Kvasir.Storage.HashLog.Readers;

/// <summary>
/// Versions in the files below the one that the index leads to, for the views that were there when they were superseded. Empty while
/// nobody holds a snapshot. Thread-safe.
/// </summary>
internal sealed class OldVersions
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, List<OldVersion>> _versions = [];
    private int _count;

    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    public void Add(ulong token, uint check, ulong location, ulong supersededBy)
    {
        lock (_lock)
        {
            if (!_versions.TryGetValue(token, out List<OldVersion>? list))
                _versions[token] = list = [];
            list.Add(new OldVersion(check, location, supersededBy));
            Volatile.Write(ref _count, _count + 1);
        }
    }

    /// <summary>Of a token, newest first for each key.</summary>
    public OldVersion[] Of(ulong token)
    {
        if (IsEmpty)
            return [];
        lock (_lock)
        {
            return _versions.TryGetValue(token, out List<OldVersion>? list)
                ? [.. list.OrderByDescending(v => v.SupersededBy)]
                : [];
        }
    }

    /// <summary>Where the newest one of a key lies; nowhere (zero) when there is none.</summary>
    public ulong Newest(ulong token, uint check)
    {
        foreach (OldVersion version in Of(token))
        {
            if (version.Check == check)
                return version.Location;
        }

        return 0;
    }

    /// <summary>The sequence number at which the version at this location was superseded; null when it is not here.</summary>
    public ulong? SupersededAt(ulong token, ulong location)
    {
        foreach (OldVersion version in Of(token))
        {
            if (version.Location == location)
                return version.SupersededBy;
        }

        return null;
    }

    /// <summary>The version has moved; or it is gone, when it moved nowhere.</summary>
    public bool Move(ulong token, ulong location, ulong to)
    {
        if (IsEmpty)
            return false;
        lock (_lock)
        {
            if (!_versions.TryGetValue(token, out List<OldVersion>? list))
                return false;
            int at = list.FindIndex(v => v.Location == location);
            if (at < 0)
                return false;
            if (to != 0)
                list[at] = list[at] with { Location = to };
            else
                RemoveAt(token, list, at);
            return true;
        }
    }

    /// <summary>Forgets what no view at or after the oldest sees.</summary>
    public void Trim(ulong? oldest)
    {
        if (IsEmpty)
            return;
        lock (_lock)
        {
            foreach ((ulong token, List<OldVersion> list) in _versions.OrderBy(v => v.Key).ToArray())
            {
                for (int i = list.Count - 1; i >= 0; i--)
                {
                    if (oldest is not { } sequence || list[i].SupersededBy <= sequence)
                        RemoveAt(token, list, i);
                }
            }
        }
    }

    private void RemoveAt(ulong token, List<OldVersion> list, int at)
    {
        list.RemoveAt(at);
        if (list.Count == 0)
            _versions.Remove(token);
        Volatile.Write(ref _count, _count - 1);
    }
}

/// <summary>A version of a key that something newer stands above, in the files.</summary>
internal readonly record struct OldVersion(uint Check, ulong Location, ulong SupersededBy);
