using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <content>What a <see cref="JournalReader"/> beside the writer must know.</content>
public sealed partial class JournalWriter
{
    /// <summary>Reads again what this journal holds.</summary>
    public JournalReader CreateReader() => new(this, _seed);

    /// <summary>Whether <see cref="TrimBefore"/> with this position would let go of a segment.</summary>
    public bool HoldsSegmentsBefore(LogPosition position)
    {
        lock (_lock)
            return _retained.Count > 0 && _retained[0].EndPosition < position.Value;
    }

    /// <summary>The first segment that ends behind this position, as far as it was handed to the system.</summary>
    internal bool TryFindReadable(ulong position, out RetainedSegment segment)
    {
        lock (_lock)
        {
            foreach (RetainedSegment retained in _retained)
            {
                if (retained.EndPosition <= position || retained.Sequence < _letGoBefore)
                    continue;
                segment = retained;
                return true;
            }

            segment = new RetainedSegment(_segment.Sequence, _segment.BasePosition, _written, _segment.FileLength);
            return _written > position && _written > _segment.BasePosition;
        }
    }

    /// <summary>False once the segment is let go: from then on its file may vanish, or be written over.</summary>
    public bool IsRetained(ulong sequence)
    {
        lock (_lock)
            return sequence >= _letGoBefore;
    }

    internal string PathOf(ulong sequence) => _folder.PathOf(sequence);

    internal IFile OpenSegment(ulong sequence) => _folder.OpenSegment(sequence);
}
