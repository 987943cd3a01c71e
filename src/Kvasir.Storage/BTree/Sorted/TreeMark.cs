using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>
/// What an engine keeps with each commit of its tree (docs/formats/btree-engine.md): up to where the log is in the tree, and the digest of that;
/// the last sequence number that any record has, which may be of later writes, while a flush is under way; whose it is.
/// </summary>
internal readonly record struct TreeMark(LogPosition Flushed, ulong LastSequence, StateDigest Digest, EngineOwner Owner, long Keys)
{
    public const int Bytes = 56;

    // "KVTM", then the version.
    private const ulong Magic = 0x0000_0001_4D54_564B;

    public static bool TryRead(ReadOnlySpan<byte> bytes, out TreeMark mark)
    {
        mark = default;
        if (bytes.Length != Bytes || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic)
            return false;
        mark = new TreeMark(
            new LogPosition(Number(bytes, 1)),
            Number(bytes, 2),
            new StateDigest(Number(bytes, 3)),
            new EngineOwner(Number(bytes, 4), Number(bytes, 5)),
            (long)Number(bytes, 6));
        return true;
    }

    public void Write(Span<byte> to)
    {
        ReadOnlySpan<ulong> numbers = [Magic, Flushed.Value, LastSequence, Digest.Value, Owner.Store, Owner.Part, (ulong)Keys];
        for (int i = 0; i < numbers.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(to[(8 * i)..], numbers[i]);
    }

    private static ulong Number(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[(8 * at)..]);
}
