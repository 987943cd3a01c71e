namespace Kvasir.Server.Sessions;

/// <summary>All connected clients, in the order they came. Thread-safe; enumerated as a copy.</summary>
internal sealed class ClientRegistry
{
    private readonly SortedDictionary<long, RespSession> _byId = [];
    private long _lastId;

    public long NextId() => Interlocked.Increment(ref _lastId);

    public int Count
    {
        get
        {
            lock (_byId)
                return _byId.Count;
        }
    }

    public RespSession[] All
    {
        get
        {
            lock (_byId)
                return [.. _byId.Values];
        }
    }

    public void Add(RespSession session)
    {
        lock (_byId)
            _byId.Add(session.Client.Id, session);
    }

    public void Remove(RespSession session)
    {
        lock (_byId)
            _byId.Remove(session.Client.Id);
    }

    public RespSession? Find(long id)
    {
        lock (_byId)
            return _byId.GetValueOrDefault(id);
    }
}
