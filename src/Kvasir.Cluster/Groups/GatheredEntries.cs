using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// What committed entries of one group have for its engine, and for its table of sessions, copied side by side until there is enough to
/// apply together. One for all groups of a node. Inside the mailbox.
/// </summary>
internal sealed class GatheredEntries
{
    // Enough for the engine to look up many keys at a time, and little enough to stay near the processor.
    private const int BytesWanted = 32 << 10;
    private const int BatchesWanted = 64;

    /// <summary>An entry that is larger is not copied: it is applied alone.</summary>
    public const int CopiedBytesMax = BytesWanted;

    private readonly BytesBuffer _bytes = new(BytesWanted);
    private readonly List<LoggedBatch> _batches = new(BatchesWanted);
    private readonly List<LoggedBatch> _notes = [];
    private int _bytesBegun;
    private int _batchesBegun;
    private int _notesBegun;

    public bool IsEmpty => _batches.Count == 0 && _notes.Count == 0;

    public bool IsFull => _bytes.Length >= BytesWanted || _batches.Count >= BatchesWanted;

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>Within <see cref="Bytes"/>, or within the entry that was not copied.</summary>
    public ReadOnlySpan<LoggedBatch> Batches => CollectionsMarshal.AsSpan(_batches);

    /// <summary>Of writes that were forwarded; where the batches are, too.</summary>
    public ReadOnlySpan<LoggedBatch> Notes => CollectionsMarshal.AsSpan(_notes);

    /// <summary>What is added from now on belongs to another entry.</summary>
    public void BeginEntry() => (_bytesBegun, _batchesBegun, _notesBegun) = (_bytes.Length, _batches.Count, _notes.Count);

    /// <param name="entry">In which it lies.</param>
    public void AddBatch(ReadOnlySpan<byte> entry, ReadOnlySpan<byte> batch, LogPosition position) => _batches.Add(Place(entry, batch, position));

    /// <inheritdoc cref="AddBatch"/>
    public void AddNote(ReadOnlySpan<byte> entry, ReadOnlySpan<byte> note, LogPosition position) => _notes.Add(Place(entry, note, position));

    /// <summary>The entry that was begun is not to be applied.</summary>
    public void WithdrawEntry()
    {
        _bytes.Truncate(_bytesBegun);
        CollectionsMarshal.SetCount(_batches, _batchesBegun);
        CollectionsMarshal.SetCount(_notes, _notesBegun);
    }

    public void Clear()
    {
        _bytes.ClearAndTrim(2 * BytesWanted);
        _batches.Clear();
        _notes.Clear();
        BeginEntry();
    }

    private LoggedBatch Place(ReadOnlySpan<byte> entry, ReadOnlySpan<byte> bytes, LogPosition position)
    {
        if (entry.Length > CopiedBytesMax)
            return new LoggedBatch(entry.Overlaps(bytes, out int at) ? at : 0, bytes.Length, position);
        int start = _bytes.Length;
        _bytes.Append(bytes);
        return new LoggedBatch(start, bytes.Length, position);
    }
}
