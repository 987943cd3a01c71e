using System.Buffers.Binary;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// What a leader writes into its group's log beside batches: parts of an entry's payload under a stream number that no replica
/// has (docs/formats/group-entries.md).
/// </summary>
internal static class EntryNotes
{
    public const uint Stream = WriteNote.Stream;
    private const byte DigestKind = 1;
    private const byte FirstDigestKind = 2;
    private const int DigestBytes = 9;

    /// <param name="to">The payload of an entry.</param>
    /// <param name="digest">Of what all entries before this one have made.</param>
    /// <param name="begins">Nobody knew it before: everybody takes this one for it.</param>
    public static void AppendDigest(BytesBuffer to, StateDigest digest, bool begins)
    {
        Span<byte> note = stackalloc byte[DigestBytes];
        note[0] = begins ? FirstDigestKind : DigestKind;
        BinaryPrimitives.WriteUInt64LittleEndian(note[1..], digest.Value);
        JournalPayload.AppendEntry(to, Stream, note);
    }

    /// <summary>False when it is none: a version that came later wrote it.</summary>
    public static bool TryReadDigest(ReadOnlySpan<byte> note, out StateDigest digest, out bool begins)
    {
        bool isDigest = note.Length == DigestBytes && note[0] is DigestKind or FirstDigestKind;
        digest = isDigest ? new StateDigest(BinaryPrimitives.ReadUInt64LittleEndian(note[1..])) : StateDigest.Unknown;
        begins = isDigest && note[0] == FirstDigestKind;
        return isDigest && !digest.IsUnknown;
    }
}
