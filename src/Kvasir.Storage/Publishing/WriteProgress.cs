using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Publishing;

/// <summary>
/// How far the writes of an engine have come (docs/decisions/0001-stage-publish-stable.md): the sequence numbers, the positions in the log and the
/// digests of what is staged, of what is published, and of what is stable. What is published and stable anybody may ask for; for the rest the
/// engine holds its lock for writers.
/// </summary>
internal sealed class WriteProgress
{
    private readonly bool _keepsDigest;
    private readonly PublicationQueue _publications;
    private ulong _lastAssigned;
    private ulong _stagedAfter;
    private ulong _published;
    private ulong _publishedPosition;

    // Of what is published, and of that with what is staged.
    private StateDigest _digest;
    private StateDigest _stagedDigest;
    private StateDigest? _givenDigest;

    // Of what is staged from a log: the first of its entries, and the last, whose end is all that the digest lacks.
    private LogPosition? _stagedFirst;
    private LogPosition? _stagedLast;

    /// <summary>Of an engine that is opened: how far its files are.</summary>
    public WriteProgress(ulong sequence, LogPosition position, StateDigest digest, bool keepsDigest)
    {
        _keepsDigest = keepsDigest;
        _lastAssigned = _stagedAfter = _published = sequence;
        _publishedPosition = position.Value;
        if (keepsDigest)
            _digest = _stagedDigest = position.Value == 0 ? StateDigest.Empty : digest;
        _publications = new PublicationQueue(position, sequence, _digest);
    }

    /// <summary>The sequence number of what was staged last.</summary>
    public ulong LastAssigned => Volatile.Read(ref _lastAssigned);

    /// <summary>What is staged has the sequence numbers behind this one.</summary>
    public ulong StagedAfter => _stagedAfter;

    public bool HasStaged => _lastAssigned != _stagedAfter;

    /// <summary>Where what is staged begins in the log, if it is from there; and where the last entry of it is.</summary>
    public LogPosition? StagedFirst => _stagedFirst;

    public LogPosition? StagedLast => _stagedLast;

    public ulong Published => Volatile.Read(ref _published);

    public LogPosition PublishedPosition => new(Volatile.Read(ref _publishedPosition));

    public StateDigest PublishedDigest => _digest;

    public ulong StableSequence => _publications.StableSequence;

    public LogPosition StablePosition => _publications.StablePosition;

    public StateDigest StableDigest => _publications.StableDigest;

    public StablePoint Stable => _publications.Stable;

    /// <summary>The sequence number of one more operation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Stage(in BatchReader operation)
    {
        if (_keepsDigest)
            _stagedDigest = _stagedDigest.With(operation);
        return ++_lastAssigned;
    }

    /// <summary>
    /// What is staged from here on is of this entry of the log. Several become one publication, which has the digest of as many, and begins
    /// where the first of them does.
    /// </summary>
    public void StageEntry(LogPosition position)
    {
        if (!HasStaged || _stagedLast is not { } last)
        {
            Check.That(position.Value > _publishedPosition, $"position {position} after {_publishedPosition}");
            _stagedFirst = position;
        }
        else if (position != last)
        {
            Check.That(position > last, $"position {position} after {last}");
            _stagedDigest = _stagedDigest.At(last);
        }

        _stagedLast = position;
    }

    /// <summary>Makes visible what is staged; gives where that begins in the log.</summary>
    public LogPosition Publish(LogPosition position, bool awaited)
    {
        Check.That(position.Value > _publishedPosition, $"position {position} after {_publishedPosition}");
        LogPosition begin = _stagedFirst ?? position;
        _digest = _givenDigest ?? _stagedDigest.At(position);
        ForgetStaged();
        Volatile.Write(ref _publishedPosition, position.Value);
        Volatile.Write(ref _published, _lastAssigned);
        _publications.Add(position, _lastAssigned, awaited, _digest, begin);
        return begin;
    }

    /// <summary>Nothing is staged any more. The sequence numbers stay used.</summary>
    public void ForgetStaged()
    {
        _stagedAfter = _lastAssigned;
        _stagedDigest = _digest;
        _givenDigest = null;
        _stagedFirst = null;
        _stagedLast = null;
    }

    /// <summary>What was staged behind this sequence number was taken back: where nothing else is staged, nothing is.</summary>
    public void ForgetStagedAfter(ulong sequence)
    {
        if (_stagedAfter == sequence)
            ForgetStaged();
    }

    /// <summary>A sequence number for what is not staged, and never given again, whatever comes of it.</summary>
    public ulong Assign() => _stagedAfter = ++_lastAssigned;

    /// <summary>Makes visible what has the number of <see cref="Assign"/>, and is durable without the log.</summary>
    public void PublishDurable()
    {
        Volatile.Write(ref _published, _lastAssigned);
        _publications.AddDurable(_lastAssigned);
    }

    /// <summary>Of what is staged, or else of what is published: it is taken to have this digest.</summary>
    public void AssumeDigest(StateDigest digest)
    {
        if (!_keepsDigest)
            return;
        if (HasStaged)
        {
            _givenDigest = digest;
            return;
        }

        _digest = _stagedDigest = digest;
        _publications.AssumeDigest(digest);
    }

    /// <summary>What is published behind this position is not any more; gives the last publication that is left. Nothing is staged.</summary>
    public (LogPosition Position, ulong Sequence, StateDigest Digest) DiscardAfter(LogPosition position)
    {
        (LogPosition last, ulong sequence, StateDigest digest) = _publications.DiscardAfter(position);
        Volatile.Write(ref _published, sequence);
        Volatile.Write(ref _publishedPosition, last.Value);
        _digest = _stagedDigest = digest;
        return (last, sequence, digest);
    }

    /// <summary>True when the stable position moved.</summary>
    public bool MarkStable(LogPosition position) => _publications.MarkStable(position);

    /// <summary>What is published from now on does not keep back what is here: somebody wants it stable.</summary>
    public void Seal() => _publications.Seal();
}
