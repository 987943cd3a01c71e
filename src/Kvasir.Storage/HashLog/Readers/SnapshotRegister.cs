using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.HashLog.Readers;

/// <summary>
/// The sequence numbers that somebody still looks at. What a snapshot sees is read, and the list is read, under one lock: a reading
/// misses only views taken after it, and those see at least everything that was stable at the time.
/// </summary>
internal sealed class SnapshotRegister
{
    private readonly Lock _lock = new();
    private readonly List<ulong> _sequences = [];

    public bool IsEmpty
    {
        get
        {
            lock (_lock)
                return _sequences.Count == 0;
        }
    }

    /// <summary>Keeps the view of the sequence number that is read under the lock, until <see cref="Remove"/>.</summary>
    public ulong Take(Func<ulong> sequenceOfNow)
    {
        lock (_lock)
        {
            ulong sequence = sequenceOfNow();
            int index = _sequences.BinarySearch(sequence);
            _sequences.Insert(index < 0 ? ~index : index, sequence);
            return sequence;
        }
    }

    public void Remove(ulong sequence)
    {
        lock (_lock)
        {
            int index = _sequences.BinarySearch(sequence);
            Check.That(index >= 0, $"a snapshot at {sequence} was disposed twice");
            _sequences.RemoveAt(index);
        }
    }

    /// <summary>Whether there is one that does not see what has this number.</summary>
    public bool AnyBefore(ulong sequence)
    {
        lock (_lock)
            return _sequences.Count > 0 && _sequences[0] < sequence;
    }

    /// <summary>Ascending, with repetitions.</summary>
    public ulong[] Sequences()
    {
        lock (_lock)
            return [.. _sequences];
    }

    /// <summary>Whether one of these views sees a version of sequence number <paramref name="first"/>, superseded at <paramref name="end"/>.</summary>
    public static bool AnyIn(ulong[] sequences, ulong first, ulong end)
    {
        if (sequences.Length == 0)
            return false;
        int index = Array.BinarySearch(sequences, first);
        if (index < 0)
            index = ~index;
        return index < sequences.Length && sequences[index] < end;
    }
}

/// <summary>A view that keeps what it sees.</summary>
internal sealed class LogSnapshot(object owner, SnapshotRegister register, ulong sequence) : EngineSnapshot(new SequenceNumber(sequence))
{
    public object Owner { get; } = owner;

    protected override void Dispose(bool disposing) => register.Remove(Sequence.Value);
}
