using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Merge;

/// <summary>A merge under way: what it reads, what it has written, and by what it decides.</summary>
internal sealed class LogMerge(
    List<SegmentFile> inputs, List<DeadMarks> dead, ulong flushedSequence, ulong[] snapshots, RangeDeletions ranges, long expiryHorizonMs) : IDisposable
{
    // What the inputs are read with, together and each.
    private const int PartBytesTotal = 4 << 20;
    private const int PartBytesMin = 16 << 10;
    private const int PartBytesMax = 1 << 20;

    private readonly List<MergeInput> _heads = [];
    private MergeInput? _current;
    private bool _begun;

    public IReadOnlyList<SegmentFile> Inputs => inputs;

    public required SegmentOutputs Outputs { get; init; }

    /// <summary>What the files held when it began: nothing later is decided upon.</summary>
    public ulong FlushedSequence => flushedSequence;

    /// <summary>Of those that were there when it began; later ones see all that was flushed by then.</summary>
    public ulong? OldestSnapshot => snapshots.Length == 0 ? null : snapshots[0];

    public TokenList<MergeMove> Moves { get; } = new();

    /// <summary>Nobody looks at what was superseded before it began, and nobody will.</summary>
    public bool IsUnwatched => snapshots.Length == 0;

    /// <summary>
    /// The record that <see cref="MoveNext"/> gave was superseded before the merge began, and no snapshot is older than what superseded it:
    /// whatever still names it is never read. All that is known of it are its bytes.
    /// </summary>
    public bool IsKnownDead => _current!.IsDead;

    /// <summary>Of the record that <see cref="MoveNext"/> gave.</summary>
    public ulong Location => _current!.Location;

    /// <summary>Of the record that <see cref="MoveNext"/> gave.</summary>
    public ulong Token => _current!.Token;

    public int RecordBytes => _current!.RecordBytes;

    /// <summary>Asks memory for what the next records of the same input will want. Inside the epoch.</summary>
    public void Prefetch(KeyIndex index) => _current!.Prefetch(index);

    /// <summary>The next record of the inputs, by token as far as they have them in that order.</summary>
    public bool MoveNext(out SegmentRecord record)
    {
        if (!_begun)
        {
            _begun = true;
            int partBytes = (int)Math.Clamp(PartBytesTotal / inputs.Count, PartBytesMin, PartBytesMax);
            for (int i = 0; i < inputs.Count; i++)
            {
                // Asked after the snapshots were: whoever led the index to one that was noted saw a snapshot after saying so.
                bool goesByNotes = IsUnwatched && !inputs[i].IgnoresNoted;
                var head = new MergeInput(inputs[i], partBytes, goesByNotes ? dead[i] : null);
                if (head.MoveNext())
                    _heads.Add(head);
            }
        }
        else if (_current is not null && !_current.MoveNext())
        {
            _heads.Remove(_current);
            _current = null;
        }

        // What is dead comes out of turn.
        if (_current is not { IsDead: true })
            _current = FirstHead();

        record = _current is null ? default : _current.Record;
        return _current is not null;
    }

    private MergeInput? FirstHead()
    {
        MergeInput? first = null;
        foreach (MergeInput head in _heads)
        {
            if (head.IsDead)
                return head;
            if (first is null || head.Token < first.Token)
                first = head;
        }

        return first;
    }

    /// <summary>What becomes of a record.</summary>
    /// <param name="record">One of the inputs.</param>
    /// <param name="supersededBy">The largest number for the newest of its key in the files, zero for one that nobody can come to.</param>
    /// <param name="isOldest">Whether nothing that this sequence number superseded is left in other segments.</param>
    public MergeDecision Decide(in SegmentRecord record, ulong supersededBy, Func<ulong, bool> isOldest)
    {
        if (supersededBy == 0)
            return MergeDecision.Forget;
        if (supersededBy != ulong.MaxValue)
            return SnapshotRegister.AnyIn(snapshots, record.Sequence, supersededBy) ? MergeDecision.CopySuperseded : MergeDecision.Drop;

        // With the last that is known of a key goes the way to versions that snapshots see.
        ulong cover = ranges.FirstCover(record.Key, record.Sequence, flushedSequence);
        if (cover != 0)
            return IsSeenBefore(cover) ? MergeDecision.Copy : MergeDecision.Drop;
        if (IsSeenBefore(record.Sequence))
            return MergeDecision.Copy;

        // A scan shows what had not expired when it began. Those that begin later begin after the horizon.
        bool isExpired = record.Kind == RecordKind.ExpiringValue && record.ExpiresAtMs <= expiryHorizonMs && snapshots.Length == 0;
        if (record.Kind != RecordKind.Tombstone && !isExpired)
            return MergeDecision.Copy;

        // Without it an older version would be there again after the next start.
        if (isOldest(record.Sequence))
            return MergeDecision.Drop;
        return isExpired ? MergeDecision.Bury : MergeDecision.Copy;
    }

    public void Copy(ulong token, uint check, in SegmentRecord record, bool isSuperseded)
    {
        (int output, HintEntry hint) = Outputs.Add(token, check, new SegmentRecord
        {
            Kind = record.Kind,
            IsSuperseded = isSuperseded,
            Sequence = record.Sequence,
            ExpiresAtMs = record.ExpiresAtMs,
            Key = record.Key,
            Value = record.Value,
        });
        Moves.Add(new MergeMove(token, check, Location, output, hint.OffsetUnits, hint.LengthUnits));
    }

    /// <summary>
    /// Nothing takes the record's place. Where no snapshot sees anything below it, that goes with it: it may name what an earlier merge
    /// found dead and did not look for (<see cref="IsUnwatched"/>), and would not be covered any more.
    /// </summary>
    public void Drop(ulong token, uint check, in SegmentRecord record) =>
        Moves.Add(new MergeMove(token, check, Location, IsSeenBefore(record.Sequence) ? MergeMove.Nothing : MergeMove.NothingWithAllBelow, 0, 0));

    /// <summary>What was copied and is nobody's is deleted.</summary>
    public void Dispose()
    {
        Outputs.Dispose();
        Moves.Dispose();
        foreach (DeadMarks marks in dead)
            marks.Dispose();
    }

    private bool IsSeenBefore(ulong sequence) => snapshots.Length > 0 && snapshots[0] < sequence;
}

internal enum MergeDecision
{
    /// <summary>Nobody names it.</summary>
    Forget,

    /// <summary>Whoever names it will not any more.</summary>
    Drop,
    Copy,

    /// <summary>For a snapshot only.</summary>
    CopySuperseded,

    /// <summary>It has expired, and something older may be below it.</summary>
    Bury,
}

/// <summary>A record has a copy, or none when <paramref name="Output"/> is negative.</summary>
internal readonly record struct MergeMove(ulong Token, uint Check, ulong From, int Output, uint OffsetUnits, uint LengthUnits) : ITokened
{
    public const int Nothing = -1;
    public const int NothingWithAllBelow = -2;
}
