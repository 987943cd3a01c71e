namespace Kvasir.Server.Sessions;

/// <summary>Which sessions watch which keys. Inside the mailbox.</summary>
internal sealed class WatchRegistry
{
    // Those of a cluster become more while it runs.
    private Dictionary<byte[], List<RespSession>>?[] _byDatabase;

    public WatchRegistry(int databases) => _byDatabase = new Dictionary<byte[], List<RespSession>>?[databases];

    /// <summary>Keys under watch, over all databases.</summary>
    public int Count { get; private set; }

    public void Add(RespSession session, int database, byte[] key, bool existed, long expiresAtMs)
    {
        foreach (WatchedKey watched in session.Transaction.Watched)
        {
            if (watched.Database == database && watched.Key.AsSpan().SequenceEqual(key))
                return;
        }

        if (database >= _byDatabase.Length)
            Array.Resize(ref _byDatabase, database + 16);
        Dictionary<byte[], List<RespSession>> keys = _byDatabase[database] ??= new(ByteKeyComparer.Instance);
        if (!keys.TryGetValue(key, out List<RespSession>? watchers))
        {
            keys.Add(key, watchers = []);
            Count++;
        }

        watchers.Add(session);
        session.Transaction.Watched.Add(new WatchedKey(database, key, existed, expiresAtMs));
        session.Transaction.WatchedBytes += key.Length;
    }

    public void RemoveAll(RespSession session)
    {
        foreach (WatchedKey watched in session.Transaction.Watched)
        {
            Dictionary<byte[], List<RespSession>> keys = _byDatabase[watched.Database]!;
            List<RespSession> watchers = keys[watched.Key];
            watchers.Remove(session);
            if (watchers.Count == 0)
            {
                keys.Remove(watched.Key);
                Count--;
            }
        }

        session.Transaction.Watched.Clear();
        session.Transaction.WatchedBytes = 0;
        session.Transaction.WatchBroken = false;
        if (session.Transaction.Lane is not { } lane)
            return;
        session.Transaction.Lane = null;
        session.WaitsForReplies = true;
        session.Server.Router!.Forwarder.Close(lane);
    }

    public void Touch(int database, ReadOnlySpan<byte> key)
    {
        if (database < _byDatabase.Length && _byDatabase[database] is { } keys
            && keys.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out List<RespSession>? watchers))
        {
            foreach (RespSession session in watchers)
                session.Transaction.WatchBroken = true;
        }
    }

    /// <summary>As <see cref="Touch"/>, for sessions whose WATCH found the key.</summary>
    public void TouchSeen(int database, ReadOnlySpan<byte> key)
    {
        if (database < _byDatabase.Length && _byDatabase[database] is { } keys
            && keys.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out List<RespSession>? watchers))
        {
            foreach (RespSession session in watchers)
                session.Transaction.WatchBroken |= session.Transaction.HasSeen(database, key);
        }
    }

    /// <summary>
    /// A database was emptied or replaced: touches the watched keys that existed there, or exist now. Whether a key existed
    /// is as WATCH saw it: had it changed since, the watch would be broken already.
    /// </summary>
    public void TouchAll(int database, Func<byte[], bool>? existsNow)
    {
        if (database >= _byDatabase.Length || _byDatabase[database] is not { } keys)
            return;
        foreach ((byte[] key, List<RespSession> watchers) in keys)
        {
            bool exists = existsNow is not null && existsNow(key);
            foreach (RespSession session in watchers)
                session.Transaction.WatchBroken |= exists || session.Transaction.HasSeen(database, key);
        }
    }
}
