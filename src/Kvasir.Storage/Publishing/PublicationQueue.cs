using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Publishing;

/// <summary>
/// Which sequence number each publication reached, for those whose log record is not durable yet. Thread-safe.
/// Invariant: positions and sequence numbers ascend, and every queued position is above <see cref="StablePosition"/>.
/// </summary>
internal sealed class PublicationQueue
{
    private const int CapacityMin = 64;

    // Of log, over which publications that nobody waits for count as one.
    private const ulong MergedBytesMax = 64 << 10;

    private readonly Lock _lock = new();
    private Entry[] _ring = new Entry[CapacityMin];
    private int _head;
    private int _count;
    private ulong _stablePosition;
    private ulong _stableSequence;
    private ulong _lastStable;
    private StateDigest _stableDigest;

    public PublicationQueue(LogPosition position, ulong sequence, StateDigest digest = default)
    {
        _stablePosition = _lastStable = position.Value;
        _stableSequence = sequence;
        _stableDigest = digest;
    }

    public ulong StableSequence => Volatile.Read(ref _stableSequence);

    public LogPosition StablePosition => new(Volatile.Read(ref _stablePosition));

    public StateDigest StableDigest
    {
        get
        {
            lock (_lock)
                return _stableDigest;
        }
    }

    /// <summary>Unless it is <paramref name="awaited"/> it may become stable together with later ones.</summary>
    /// <param name="position">Of the last entry of the log that is in it.</param>
    /// <param name="sequence">The sequence number it reached.</param>
    /// <param name="awaited">Somebody waits for it.</param>
    /// <param name="digest">Of everything up to it.</param>
    /// <param name="begin">Of the first entry of the log that is in it, where it has several.</param>
    public void Add(LogPosition position, ulong sequence, bool awaited, StateDigest digest = default, LogPosition? begin = null)
    {
        lock (_lock)
        {
            if (position.Value <= _stablePosition)
            {
                _lastStable = position.Value;
                _stableDigest = digest;
                Volatile.Write(ref _stableSequence, sequence);
                return;
            }

            if (!awaited && _count != 0)
            {
                ref Entry last = ref Last;
                if (last.TakesMore && position.Value - last.First < MergedBytesMax)
                {
                    last.Position = position.Value;
                    last.Sequence = sequence;
                    last.Digest = digest;
                    return;
                }
            }

            if (_count == _ring.Length)
                Grow();
            _ring[(_head + _count++) & (_ring.Length - 1)] = new Entry
            {
                Begin = (begin ?? position).Value,
                First = position.Value,
                Position = position.Value,
                Sequence = sequence,
                Digest = digest,
                TakesMore = !awaited,
            };
        }
    }

    /// <summary>What comes from now on does not keep back what is here: somebody wants it stable.</summary>
    public void Seal()
    {
        lock (_lock)
        {
            if (_count != 0)
                Last.TakesMore = false;
        }
    }

    /// <summary>What was published last is taken to have this digest.</summary>
    public void AssumeDigest(StateDigest digest)
    {
        lock (_lock)
        {
            if (_count == 0)
                _stableDigest = digest;
            else
                Last.Digest = digest;
        }
    }

    /// <summary>A mutation without a log record, durable by itself, that counts as stable with what was published before it.</summary>
    public void AddDurable(ulong sequence)
    {
        lock (_lock)
        {
            if (_count == 0)
                Volatile.Write(ref _stableSequence, sequence);
            else
                Last.Sequence = sequence;
        }
    }

    /// <summary>True when the stable position moved.</summary>
    public bool MarkStable(LogPosition position)
    {
        lock (_lock)
        {
            if (position.Value <= _stablePosition)
                return false;
            while (_count != 0 && _ring[_head].Position <= position.Value)
            {
                _lastStable = _ring[_head].Position;
                _stableDigest = _ring[_head].Digest;
                Volatile.Write(ref _stableSequence, _ring[_head].Sequence);
                _head = (_head + 1) & (_ring.Length - 1);
                _count--;
            }

            Volatile.Write(ref _stablePosition, position.Value);
            return true;
        }
    }

    /// <summary>The last stable publication, and the position of the first that is not.</summary>
    public StablePoint Stable
    {
        get
        {
            lock (_lock)
            {
                LogPosition? next = _count == 0 ? null : new LogPosition(_ring[_head].Begin);
                return new StablePoint(new LogPosition(_lastStable), _stableSequence, next, _stableDigest);
            }
        }
    }

    /// <summary>Forgets publications after <paramref name="position"/>, and returns the last one that is left.</summary>
    public (LogPosition Position, ulong Sequence, StateDigest Digest) DiscardAfter(LogPosition position)
    {
        lock (_lock)
        {
            Check.That(position.Value >= _lastStable, $"discarding after {position}, but {_lastStable} is stable");
            while (_count != 0 && Last.Position > position.Value)
            {
                Check.That(Last.First > position.Value, $"discarding after {position}, in the middle of what was published as one");
                _count--;
            }

            return _count == 0
                ? (new LogPosition(_lastStable), _stableSequence, _stableDigest)
                : (new LogPosition(Last.Position), Last.Sequence, Last.Digest);
        }
    }

    private ref Entry Last => ref _ring[(_head + _count - 1) & (_ring.Length - 1)];

    private void Grow()
    {
        var grown = new Entry[_ring.Length * 2];
        for (int i = 0; i < _count; i++)
            grown[i] = _ring[(_head + i) & (_ring.Length - 1)];
        _ring = grown;
        _head = 0;
    }

    /// <summary>One publication, or several that become stable together: the positions of the first and the last of them, and where the first begins.</summary>
    private struct Entry
    {
        public ulong Begin;
        public ulong First;
        public ulong Position;
        public ulong Sequence;
        public StateDigest Digest;
        public bool TakesMore;
    }
}

/// <summary>How far publications are stable.</summary>
/// <param name="Position">Position of the last publication that is stable.</param>
/// <param name="Sequence">The sequence number it reached.</param>
/// <param name="NextPosition">Where the first publication that is not begins in the log.</param>
/// <param name="Digest">Of everything up to the last that is.</param>
internal readonly record struct StablePoint(LogPosition Position, ulong Sequence, LogPosition? NextPosition, StateDigest Digest);
