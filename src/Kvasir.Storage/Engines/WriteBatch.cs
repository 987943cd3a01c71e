using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// An atomic group of mutations, kept in the bytes that journals hold (docs/formats/write-batch.md): a list of
/// operations, each a kind byte, its lengths as varints, then its bytes. Reused by its owner: <see cref="Clear"/> and
/// fill again. One thread at a time; what is in it is on no disk before it is written to a store.
/// </summary>
public sealed class WriteBatch
{
    private readonly BytesBuffer _bytes;

    /// <summary>An empty one; any thread.</summary>
    /// <param name="capacity">Bytes that it has room for before it grows.</param>
    public WriteBatch(int capacity = 256) => _bytes = new BytesBuffer(capacity);

    /// <summary>Number of operations. One thread at a time.</summary>
    public int Count { get; private set; }

    /// <summary>The batch as journals hold it; valid until the next change of it. One thread at a time.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>Empties the batch, for the next one: nothing that was written is less durable for it. One thread at a time.</summary>
    public void Clear()
    {
        _bytes.ClearAndTrim(1 << 20);
        Count = 0;
    }

    /// <summary>
    /// Sets <paramref name="key"/>; <paramref name="expiresAtMs"/> is Unix milliseconds, 0 for never. One thread at a time; durable as, and when,
    /// the batch is written.
    /// </summary>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs = 0) =>
        Put(key, [], value, expiresAtMs);

    /// <summary>
    /// As the other overload, with a value that is <paramref name="prefix"/> followed by <paramref name="value"/>. One thread at a time; durable
    /// as, and when, the batch is written.
    /// </summary>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expiresAtMs);
        int valueLength = prefix.Length + value.Length;
        Span<byte> span = _bytes.GetSpan(1 + (2 * Varint.MaxLength32) + 8 + key.Length + valueLength);
        int at = 0;
        span[at++] = (byte)(expiresAtMs == 0 ? BatchOperationKind.Put : BatchOperationKind.PutExpiring);
        at += Varint.Write(span[at..], (ulong)key.Length);
        at += Varint.Write(span[at..], (ulong)valueLength);
        if (expiresAtMs != 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(span[at..], expiresAtMs);
            at += 8;
        }

        key.CopyTo(span[at..]);
        at += key.Length;
        prefix.CopyTo(span[at..]);
        at += prefix.Length;
        value.CopyTo(span[at..]);
        _bytes.Advance(at + value.Length);
        Count++;
    }

    /// <summary>Deletes a key, if it is there. One thread at a time; durable as, and when, the batch is written.</summary>
    public void Delete(ReadOnlySpan<byte> key)
    {
        Span<byte> span = _bytes.GetSpan(1 + Varint.MaxLength32 + key.Length);
        int at = 0;
        span[at++] = (byte)BatchOperationKind.Delete;
        at += Varint.Write(span[at..], (ulong)key.Length);
        key.CopyTo(span[at..]);
        _bytes.Advance(at + key.Length);
        Count++;
    }

    /// <summary>
    /// Deletes every key in [<paramref name="start"/>, <paramref name="end"/>); an empty <paramref name="end"/> means
    /// no upper bound. One thread at a time; durable as, and when, the batch is written.
    /// </summary>
    public void DeleteRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        Span<byte> span = _bytes.GetSpan(1 + (2 * Varint.MaxLength32) + start.Length + end.Length);
        int at = 0;
        span[at++] = (byte)BatchOperationKind.DeleteRange;
        at += Varint.Write(span[at..], (ulong)start.Length);
        at += Varint.Write(span[at..], (ulong)end.Length);
        start.CopyTo(span[at..]);
        at += start.Length;
        end.CopyTo(span[at..]);
        _bytes.Advance(at + end.Length);
        Count++;
    }
}

/// <summary>Persisted in journals: numbers are never changed or reused.</summary>
public enum BatchOperationKind : byte
{
    Put = 1,
    PutExpiring = 2,
    Delete = 3,
    DeleteRange = 4,
}
