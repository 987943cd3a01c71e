namespace Kvasir.Server.Settings;

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

    /// <summary>l</summary>
    List = 1 << 8,

    /// <summary>s</summary>
    Set = 1 << 9,

    /// <summary>h</summary>
    Hash = 1 << 10,

    /// <summary>z</summary>
    SortedSet = 1 << 11,

    /// <summary>t</summary>
    Stream = 1 << 12,

    /// <summary>d</summary>
    Module = 1 << 13,

    /// <summary>A</summary>
    All = Generic | String | List | Set | Hash | SortedSet | Expired | Evicted | Stream | Module,
}
