using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// The sequence numbers that somebody still looks at. A snapshot is taken and the list is read under one lock: a reading
/// misses only snapshots taken after it, and those are at or above the published sequence number that it contains.
/// </summary>
internal sealed class SnapshotList
{
    private readonly Lock _lock = new();
    private readonly List<ulong> _sequences = [];

    /// <param name="owner">Whose moment it is.</param>
    /// <param name="held">What it reads from, where versions are not kept: a reference that it gives back.</param>
    public BufferedSnapshot Take(BufferedEngine owner, HeldState? held = null)
    {
        lock (_lock)
        {
            ulong sequence = owner.LastSequence.Value;
            int index = _sequences.BinarySearch(sequence);
            _sequences.Insert(index < 0 ? ~index : index, sequence);
            return new BufferedSnapshot(owner, this, sequence, held);
        }
    }

    /// <summary>Ascending, without repetition: every snapshot, and what the views of now may see.</summary>
    public ulong[] Boundaries(BufferedEngine owner)
    {
        lock (_lock)
        {
            var boundaries = new SortedSet<ulong>(_sequences) { owner.StableSequence.Value, owner.LastSequence.Value };
            return [.. boundaries];
        }
    }

    /// <summary>The first of the <see cref="Boundaries"/>.</summary>
    public ulong Oldest(BufferedEngine owner)
    {
        lock (_lock)
        {
            ulong now = Math.Min(owner.StableSequence.Value, owner.LastSequence.Value);
            return _sequences.Count == 0 ? now : Math.Min(_sequences[0], now);
        }
    }

    private void Remove(ulong sequence)
    {
        lock (_lock)
        {
            int index = _sequences.BinarySearch(sequence);
            Check.That(index >= 0, $"a snapshot at {sequence} was disposed twice");
            _sequences.RemoveAt(index);
        }
    }

    internal sealed class BufferedSnapshot : EngineSnapshot
    {
        private readonly SnapshotList _list;

        public BufferedSnapshot(BufferedEngine owner, SnapshotList list, ulong sequence, HeldState? held) : base(new SequenceNumber(sequence))
        {
            Owner = owner;
            Held = held;
            _list = list;
        }

        public BufferedEngine Owner { get; }

        /// <summary>What it reads from; null where the current state has all that it sees.</summary>
        public HeldState? Held { get; }

        protected override void Dispose(bool disposing)
        {
            _list.Remove(Sequence.Value);
            Held?.Release();
            Owner.LookAgainForCovered();
        }
    }
}
