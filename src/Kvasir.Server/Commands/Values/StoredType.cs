namespace Kvasir.Server.Commands.Values;

/// <summary>
/// What a key holds: the low four bits of the first byte of every stored value. Persisted, so never renumbered. The
/// numbers of types without commands are reserved here so that no two families meet on one.
/// </summary>
internal enum StoredType : byte
{
    String = 0,
    List = 1,
    Set = 2,
    SortedSet = 3,
    Hash = 4,
    Stream = 5,
}

/// <summary>
/// The first byte of a stored value: its type, and above it how Redis would have come by a string, which OBJECT ENCODING
/// shows. Persisted.
/// </summary>
internal static class ValueHeader
{
    /// <summary>A string whose encoding follows from its bytes.</summary>
    public const byte PlainString = (byte)StoredType.String;

    /// <summary>A string that was changed in place: raw, whatever its length.</summary>
    public const byte RawString = (byte)StoredType.String | 0x10;

    /// <summary>A string made by INCRBYFLOAT: text, even when it reads as an integer.</summary>
    public const byte TextString = (byte)StoredType.String | 0x20;

    public static StoredType TypeOf(byte header) => (StoredType)(header & 0x0F);

    /// <summary>The word that TYPE answers.</summary>
    public static ReadOnlySpan<byte> NameOf(byte header) => TypeOf(header) switch
    {
        StoredType.String => "string"u8,
        StoredType.List => "list"u8,
        StoredType.Set => "set"u8,
        StoredType.SortedSet => "zset"u8,
        StoredType.Hash => "hash"u8,
        StoredType.Stream => "stream"u8,
        _ => "unknown"u8,
    };
}
