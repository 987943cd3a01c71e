namespace Kvasir.Server.Sessions;

/// <summary>
/// Hears of every change to a key: for WATCH, and for keyspace notifications. Called inside the mailbox, after the change
/// was staged. Costs a branch when nobody watches or listens.
/// </summary>
internal sealed class KeyEvents
{
    /// <summary>A key changed in whatever way: transactions that watch it will not execute.</summary>
    public void Modified(int database, ReadOnlySpan<byte> key) => Changes++;

    /// <summary>An event for subscribers of keyspace notifications, if CONFIG notify-keyspace-events asks for its class.</summary>
    public void Notify(KeyEventClass eventClass, ReadOnlySpan<byte> eventName, int database, ReadOnlySpan<byte> key)
    {
    }

    /// <summary>Every key of a database is gone: transactions that watch one that was there will not execute.</summary>
    public void Flushed(int database) => Changes++;

    /// <summary>Two databases traded places: transactions that watch a key of either will not execute.</summary>
    public void Swapped(int first, int second) => Changes++;

    /// <summary>Changes since the start: INFO's rdb_changes_since_last_save counts from it.</summary>
    public long Changes { get; private set; }
}

/// <summary>The classes of Redis's notify-keyspace-events, by their letter.</summary>
[Flags]
internal enum KeyEventClass
{
    None = 0,

    /// <summary>g: commands of no type: DEL, EXPIRE, RENAME.</summary>
    Generic = 1 << 0,

    /// <summary>$</summary>
    String = 1 << 1,

    /// <summary>x</summary>
    Expired = 1 << 2,

    /// <summary>e</summary>
    Evicted = 1 << 3,

    /// <summary>n: not part of A.</summary>
    New = 1 << 4,

    /// <summary>m: not part of A.</summary>
    Miss = 1 << 5,

    /// <summary>K: to channels named after the key.</summary>
    Keyspace = 1 << 6,

    /// <summary>E: to channels named after the event.</summary>
    Keyevent = 1 << 7,
}
