using System.Buffers.Binary;
using System.Globalization;
using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// What an engine has been made of, as one number: a chain over every operation that was published, as the engine decoded it,
/// and over the position of each publication. Two replicas of one log that have published the same have the same; one that
/// left out, doubled or changed something never does again (docs/formats/group-entries.md).
/// </summary>
public readonly record struct StateDigest(ulong Value)
{
    /// <summary>Nothing is known of what lies below: it stays so until somebody says what to take it for.</summary>
    public static readonly StateDigest Unknown;

    /// <summary>Nothing was ever published.</summary>
    public static readonly StateDigest Empty = new(1);

    public bool IsUnknown => Value == 0;

    /// <summary>With one more operation.</summary>
    public StateDigest With(in BatchReader operation)
    {
        if (IsUnknown)
            return this;
        ulong hash = StableHash.Hash64(operation.Key, Value + (ulong)operation.Kind);
        hash = StableHash.Hash64(operation.Value, hash);
        return Of(operation.ExpiresAtMs == 0 ? hash : Mix(hash, (ulong)operation.ExpiresAtMs));
    }

    /// <summary>With the end of a publication.</summary>
    public StateDigest At(LogPosition position) => IsUnknown ? this : Of(Mix(Value, position.Value));

    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);

    private static StateDigest Of(ulong hash) => hash == 0 ? Empty : new StateDigest(hash);

    private static ulong Mix(ulong hash, ulong number)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number);
        return StableHash.Hash64(bytes, hash);
    }
}
