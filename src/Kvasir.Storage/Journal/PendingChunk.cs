namespace Kvasir.Storage.Journal;

/// <summary>
/// Records that wait for their write, ready as they will stand on disk, behind room for the mark that is filled in just
/// before: one chunk is one write.
/// </summary>
internal sealed class PendingChunk
{
    public const int OrdinaryBytes = 256 << 10;

    public PendingChunk(int bytes) => Bytes = GC.AllocateUninitializedArray<byte>(bytes, pinned: true);

    public byte[] Bytes { get; }

    /// <summary>The logical position of the first byte.</summary>
    public ulong Start { get; private set; }

    public int Length { get; set; }

    public ulong End => Start + (ulong)Length;

    public bool HasRecords => Length > JournalFormat.MarkBytes;

    public void Begin(ulong start)
    {
        Start = start;
        Length = JournalFormat.MarkBytes;
    }
}
