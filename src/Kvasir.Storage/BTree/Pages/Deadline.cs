using System.Buffers.Binary;

namespace Kvasir.Storage.BTree.Pages;

/// <summary>
/// What stands before the value of an entry that goes at a time: the time in Unix milliseconds, and a number that no other entry of the
/// file has with it, both big-endian, so that together they are the entry's key in the index of deadlines; then whether the value lies in a run.
/// </summary>
internal static unsafe class Deadline
{
    /// <summary>Time (8), the commit that its transaction began at (8), and which one of that transaction it is (4).</summary>
    public const int KeyBytes = 20;

    public const int HeaderBytes = KeyBytes + 1;

    private const int CommitAt = 8;
    private const int OrdinalAt = 16;

    public static void Write(Span<byte> target, long expiresAtMs, ulong commit, uint ordinal, bool isOfRun)
    {
        BinaryPrimitives.WriteInt64BigEndian(target, expiresAtMs);
        BinaryPrimitives.WriteUInt64BigEndian(target[CommitAt..], commit);
        BinaryPrimitives.WriteUInt32BigEndian(target[OrdinalAt..], ordinal);
        target[KeyBytes] = isOfRun ? (byte)1 : (byte)0;
    }

    public static long AtMs(byte* header) => BinaryPrimitives.ReverseEndianness(*(long*)header);

    public static long AtMs(ReadOnlySpan<byte> key) => BinaryPrimitives.ReadInt64BigEndian(key);

    public static bool IsOfRun(byte* header) => header[KeyBytes] != 0;
}
