using System.Buffers.Text;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Hears of every change to a key: for WATCH, and for keyspace notifications. Called inside the mailbox, after the change
/// was staged. Costs a branch when nobody watches or listens.
/// </summary>
internal sealed class KeyEvents(IServedNode node, PubSubRegistry pubSub, WatchRegistry watches, KeyUse use)
{
    private readonly BytesBuffer _channel = new(64);

    /// <summary>What notify-keyspace-events asks for.</summary>
    public KeyEventClass Wanted { get; set; }

    /// <summary>The session whose command runs.</summary>
    public RespSession? Current { get; set; }

    /// <summary>Changes since the start: INFO's rdb_changes_since_last_save counts from it.</summary>
    public long Changes { get; private set; }

    /// <summary>A key changed in whatever way: transactions that watch it will not execute.</summary>
    public void Modified(int database, ReadOnlySpan<byte> key)
    {
        Changes++;
        use.Used(database, key);
        if (watches.Count != 0)
            watches.Touch(database, key);
        if (Tracking is { } tracking)
            tracking.Modified(key, Current);
    }

    /// <summary>An expired key was deleted: a change only for those who saw it alive.</summary>
    public void Expired(int database, ReadOnlySpan<byte> key)
    {
        Changes++;
        if (watches.Count != 0)
            watches.TouchSeen(database, key);
        if (Tracking is { } tracking)
            tracking.Modified(key, current: null);
    }

    /// <summary>Null while no client tracks keys.</summary>
    public KeyTracking? Tracking { get; set; }

    /// <summary>An event for subscribers of keyspace notifications, if CONFIG notify-keyspace-events asks for its class.</summary>
    public void Notify(KeyEventClass eventClass, ReadOnlySpan<byte> eventName, int database, ReadOnlySpan<byte> key)
    {
        if ((Wanted & eventClass) == 0 || !pubSub.HasListeners)
            return;
        if ((Wanted & KeyEventClass.Keyspace) != 0)
            pubSub.Publish(Channel("__keyspace@"u8, database, key), eventName, Current);
        if ((Wanted & KeyEventClass.Keyevent) != 0)
            pubSub.Publish(Channel("__keyevent@"u8, database, eventName), key, Current);
    }

    /// <summary>Every key of a database is gone: transactions that watch one that was there will not execute.</summary>
    public void Flushed(int database)
    {
        Changes++;
        if (watches.Count != 0)
            watches.TouchAll(database, existsNow: null);
    }

    /// <summary>Once after one or several databases were emptied: clients that cache forget everything.</summary>
    public void FlushedAll() => Tracking?.Flushed();

    /// <summary>Two databases traded places: transactions that watch a key that is in either will not execute.</summary>
    public void Swapped(int first, int second)
    {
        Changes++;
        if (watches.Count != 0)
        {
            watches.TouchAll(first, key => Exists(first, key));
            watches.TouchAll(second, key => Exists(second, key));
        }

        Tracking?.Flushed();
    }

    private bool Exists(int database, byte[] key) =>
        node.Database(database).Engine.Get(key, ReadView.Applied, value: null).Found;

    private ReadOnlySpan<byte> Channel(ReadOnlySpan<byte> prefix, int database, ReadOnlySpan<byte> name)
    {
        _channel.Clear();
        _channel.Append(prefix);
        Span<byte> digits = stackalloc byte[12];
        Utf8Formatter.TryFormat(database, digits, out int length);
        _channel.Append(digits[..length]);
        _channel.Append("__:"u8);
        _channel.Append(name);
        return _channel.WrittenSpan;
    }
}
