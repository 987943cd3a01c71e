using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>Walks the operations of a <see cref="WriteBatch"/>'s bytes. Never reads outside them, whatever they hold.</summary>
public ref struct BatchReader
{
    private ReadOnlySpan<byte> _rest;

    public BatchReader(ReadOnlySpan<byte> batch) => _rest = batch;

    public BatchOperationKind Kind { get; private set; }

    /// <summary>The key, or the start of a deleted range.</summary>
    public ReadOnlySpan<byte> Key { get; private set; }

    /// <summary>The value of a put, or the end of a deleted range (empty: unbounded).</summary>
    public ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>Unix milliseconds; 0 for never.</summary>
    public long ExpiresAtMs { get; private set; }

    /// <summary>True after <see cref="MoveNext"/> returned false because the bytes make no sense.</summary>
    public bool Malformed { get; private set; }

    /// <summary>Nothing is left to read.</summary>
    public readonly bool IsAtEnd => _rest.IsEmpty;

    public bool MoveNext()
    {
        if (_rest.IsEmpty || Malformed)
            return false;
        Kind = (BatchOperationKind)_rest[0];
        int at = 1;
        if (Kind is < BatchOperationKind.Put or > BatchOperationKind.DeleteRange || !TryLength(ref at, out int keyLength))
            return Fail();
        int valueLength = 0;
        if (Kind != BatchOperationKind.Delete && !TryLength(ref at, out valueLength))
            return Fail();
        ExpiresAtMs = 0;
        if (Kind == BatchOperationKind.PutExpiring)
        {
            if (_rest.Length - at < 8)
                return Fail();
            ExpiresAtMs = BinaryPrimitives.ReadInt64LittleEndian(_rest[at..]);
            at += 8;
        }

        if ((long)_rest.Length - at < (long)keyLength + valueLength)
            return Fail();
        Key = _rest.Slice(at, keyLength);
        Value = _rest.Slice(at + keyLength, valueLength);
        _rest = _rest[(at + keyLength + valueLength)..];
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool TryLength(ref int at, out int length)
    {
        if (Varint.TryRead(_rest[at..], out ulong value, out int read) && value <= int.MaxValue)
        {
            at += read;
            length = (int)value;
            return true;
        }

        length = 0;
        return false;
    }

    private bool Fail()
    {
        Malformed = true;
        return false;
    }
}
