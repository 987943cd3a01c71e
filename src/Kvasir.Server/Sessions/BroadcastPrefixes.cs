namespace Kvasir.Server.Sessions;

/// <summary>
/// CLIENT TRACKING BCAST: which sessions want to hear of every change below which prefix, and the changes they have not
/// heard of yet. Inside the mailbox.
/// </summary>
internal sealed class BroadcastPrefixes
{
    private static readonly Comparer<byte[]> s_byBytes = Comparer<byte[]>.Create(static (a, b) => a.AsSpan().SequenceCompareTo(b));
    private readonly SortedDictionary<byte[], BroadcastPrefix> _prefixes = new(s_byBytes);

    public int Count => _prefixes.Count;

    public bool HasChanges { get; private set; }

    /// <summary>An empty prefix is that of every key. Prefixes that the session has already are left as they are.</summary>
    public void Add(RespSession session, List<byte[]> prefixes)
    {
        foreach (byte[] prefix in prefixes)
        {
            if (!_prefixes.TryGetValue(prefix, out BroadcastPrefix? entry))
                _prefixes.Add(prefix, entry = new BroadcastPrefix(new SortedDictionary<byte[], RespSession?>(s_byBytes)));
            if (!entry.Sessions.Contains(session))
                entry.Sessions.Add(session);
        }
    }

    public void Remove(RespSession session)
    {
        foreach ((byte[] prefix, BroadcastPrefix entry) in _prefixes.ToArray())
        {
            if (entry.Sessions.Remove(session) && entry.Sessions.Count == 0)
                _prefixes.Remove(prefix);
        }
    }

    /// <param name="key">What changed.</param>
    /// <param name="by">Who changed it last; null for the server itself.</param>
    public void Modified(ReadOnlySpan<byte> key, RespSession? by)
    {
        foreach ((byte[] prefix, BroadcastPrefix entry) in _prefixes)
        {
            if (!key.StartsWith(prefix))
                continue;
            entry.Changes[key.ToArray()] = by;
            HasChanges = true;
        }
    }

    /// <summary>Prefixes with changes, in order. The caller clears them.</summary>
    public BroadcastPrefix[] TakeChanged()
    {
        HasChanges = false;
        return [.. _prefixes.Values.Where(static p => p.Changes.Count != 0)];
    }
}

/// <param name="Changes">Keys that changed, and who changed each last.</param>
internal sealed record BroadcastPrefix(SortedDictionary<byte[], RespSession?> Changes)
{
    public List<RespSession> Sessions { get; } = [];
}
