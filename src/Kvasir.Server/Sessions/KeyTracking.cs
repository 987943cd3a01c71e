using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>
/// CLIENT TRACKING: which keys clients may hold in their own caches, and the messages that tell them to forget. Inside the
/// mailbox.
/// </summary>
internal sealed class KeyTracking(ClientRegistry clients)
{
    private const int KeysMax = 1_000_000;
    private readonly Dictionary<byte[], List<long>> _readers = new(ByteKeyComparer.Instance);
    private readonly List<RespSession> _broadcasts = [];

    public int PrefixCount => _broadcasts.Sum(static s => Math.Max(s.Client.Tracking!.Prefixes.Count, 1));

    /// <summary>Sessions that track.</summary>
    public int ClientCount { get; private set; }

    public int KeyCount => _readers.Count;

    public void Enable(RespSession session, TrackingState state)
    {
        Disable(session);
        session.Client.Tracking = state;
        ClientCount++;
        if (state.Broadcast)
            _broadcasts.Add(session);
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
        // Whoever caches so much forgets all at once.
        if (_readers.Count >= KeysMax)
            Flushed(current: null);
        byte[] copy = key.ToArray();
        if (!_readers.TryGetValue(copy, out List<long>? readers))
            _readers.Add(copy, readers = []);
        if (!readers.Contains(session.Client.Id))
            readers.Add(session.Client.Id);
    }

    public void Modified(ReadOnlySpan<byte> key, RespSession? current)
    {
        if (_readers.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(key, out _, out List<long>? readers))
        {
            foreach (long id in readers)
            {
                if (clients.Find(id) is { Client.Tracking: { Broadcast: false } } reader)
                    Invalidate(reader, key, current);
            }
        }

        foreach (RespSession session in _broadcasts)
        {
            if (HasPrefix(session.Client.Tracking!, key))
                Invalidate(session, key, current);
        }
    }

    public void Flushed(RespSession? current)
    {
        _readers.Clear();
        foreach (RespSession session in clients.All)
        {
            if (session.Client.Tracking is not null)
                Send(session, key: default, all: true, current);
        }
    }

    private static bool HasPrefix(TrackingState tracking, ReadOnlySpan<byte> key)
    {
        if (tracking.Prefixes.Count == 0)
            return true;
        foreach (byte[] prefix in tracking.Prefixes)
        {
            if (key.StartsWith(prefix))
                return true;
        }

        return false;
    }

    private void Invalidate(RespSession session, ReadOnlySpan<byte> key, RespSession? current)
    {
        if (session.Client.Tracking!.NoLoop && ReferenceEquals(session, current))
            return;
        Send(session, key, all: false, current);
    }

    private void Send(RespSession session, ReadOnlySpan<byte> key, bool all, RespSession? current)
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
        else if (redirect != 0 && target.Subscriptions.Channels.Contains("__redis__:invalidate"u8.ToArray()))
        {
            message.PushHeader(3);
            message.BulkString("message"u8);
            message.BulkString("__redis__:invalidate"u8);
        }
        else
        {
            return;
        }

        if (all)
        {
            message.Null();
        }
        else
        {
            message.ArrayHeader(1);
            message.BulkString(key);
        }

        // Its own command's reply comes first, as from Redis: the push is taken when it is complete.
        target.Push(message.Buffer.WrittenSpan);
        _ = current;
    }
}
