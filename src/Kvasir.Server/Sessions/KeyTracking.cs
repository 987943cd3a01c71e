using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>
/// CLIENT TRACKING: which keys clients may hold in their own caches, and the messages that tell them to forget. Inside the
/// mailbox.
/// </summary>
internal sealed class KeyTracking(ClientRegistry clients)
{
    private readonly Dictionary<byte[], List<long>> _readers = new(ByteKeyComparer.Instance);
    private readonly BroadcastPrefixes _broadcasts = new();
    private long _keysMax = 1_000_000;

    public int PrefixCount => _broadcasts.Count;

    /// <summary>Sessions that track.</summary>
    public int ClientCount { get; private set; }

    public int KeyCount => _readers.Count;

    /// <summary>Pairs of a key and a client that may hold it.</summary>
    public long ItemCount { get; private set; }

    /// <summary>Keys remembered at most, 0 for no limit: beyond it, clients are told to forget some that nobody changed.</summary>
    public long KeysMax
    {
        get => _keysMax;
        set
        {
            _keysMax = value;
            Evict();
        }
    }

    public void Enable(RespSession session, TrackingState state)
    {
        // What broadcasts had before stays as it was, with the changes below it that were not told yet.
        if (session.Client.Tracking is not { Broadcast: true } || !state.Broadcast)
            Disable(session);
        if (session.Client.Tracking is null)
            ClientCount++;
        session.Client.Tracking = state;
        if (state.Broadcast)
            _broadcasts.Add(session, state.Prefixes);
    }

    public void Disable(RespSession session)
    {
        if (session.Client.Tracking is null)
            return;
        session.Client.Tracking = null;
        ClientCount--;
        _broadcasts.Remove(session);
    }

    /// <summary>A tracking client has read a key.</summary>
    public void Read(RespSession session, ReadOnlySpan<byte> key)
    {
        if (!_readers.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out List<long>? readers))
            _readers.Add(key.ToArray(), readers = []);
        if (!readers.Contains(session.Client.Id))
        {
            readers.Add(session.Client.Id);
            ItemCount++;
        }

        Evict();
    }

    public void Modified(ReadOnlySpan<byte> key, RespSession? current)
    {
        if (_readers.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(key, out _, out List<long>? readers))
            Forget(key, readers, current);
        _broadcasts.Modified(key, current);
    }

    /// <summary>
    /// Sends what broadcasting clients are to hear of the changes since the last time: one message for each prefix. Called
    /// after the commands that one client sent together, and after each key that the sweep deletes.
    /// </summary>
    public void Broadcast()
    {
        if (!_broadcasts.HasChanges)
            return;
        foreach (BroadcastPrefix prefix in _broadcasts.TakeChanged())
        {
            foreach (RespSession session in prefix.Sessions)
            {
                bool all = !session.Client.Tracking!.NoLoop;
                byte[][] keys = [.. prefix.Changes.Where(c => all || !ReferenceEquals(c.Value, session)).Select(static c => c.Key)];
                if (keys.Length != 0)
                    Send(session, keys);
            }

            prefix.Changes.Clear();
        }
    }

    public void Flushed()
    {
        _readers.Clear();
        ItemCount = 0;
        foreach (RespSession session in clients.All)
        {
            if (session.Client.Tracking is not null)
                Send(session, keys: null);
        }
    }

    private void Evict()
    {
        long surplus = _keysMax == 0 ? 0 : _readers.Count - _keysMax;
        if (surplus <= 0)
            return;
        foreach ((byte[] key, List<long> readers) in _readers.Take((int)surplus).ToArray())
        {
            _readers.Remove(key);
            Forget(key, readers, current: null);
        }
    }

    private void Forget(ReadOnlySpan<byte> key, List<long> readers, RespSession? current)
    {
        ItemCount -= readers.Count;
        foreach (long id in readers)
        {
            if (clients.Find(id) is { Client.Tracking: { Broadcast: false } tracking } reader
                && !(tracking.NoLoop && ReferenceEquals(reader, current)))
            {
                Send(reader, [key.ToArray()]);
            }
        }
    }

    /// <summary>Null for all keys. A client's own reply comes first, as from Redis: pushes are taken when it is complete.</summary>
    private void Send(RespSession session, byte[][]? keys)
    {
        long redirect = session.Client.Tracking!.Redirect;
        RespSession? target = redirect == 0 ? session : clients.Find(redirect);
        if (target is null)
        {
            if (session.Reply.Protocol >= 3)
            {
                RespWriter broken = new(new BytesBuffer(64)) { Protocol = 3 };
                broken.PushHeader(2);
                broken.BulkString("tracking-redir-broken"u8);
                broken.Integer(redirect);
                session.Push(broken.Buffer.WrittenSpan);
            }

            return;
        }

        RespWriter message = new(new BytesBuffer(64)) { Protocol = target.Reply.Protocol };
        if (target.Reply.Protocol >= 3)
        {
            message.PushHeader(2);
            message.BulkString("invalidate"u8);
        }
        else if (redirect != 0 && target.Subscriptions.Any)
        {
            message.PushHeader(3);
            message.BulkString("message"u8);
            message.BulkString("__redis__:invalidate"u8);
        }
        else
        {
            return;
        }

        if (keys is null)
        {
            message.Null();
        }
        else
        {
            message.ArrayHeader(keys.Length);
            foreach (byte[] key in keys)
                message.BulkString(key);
        }

        target.Push(message.Buffer.WrittenSpan);
    }
}
