using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Merge;

/// <summary>A merge under way: what it reads, what it has written, and by what it decides.</summary>
internal sealed class LogMerge(
    List<SegmentFile> inputs, ulong flushedSequence, ulong[] snapshots, RangeDeletions ranges, long expiryHorizonMs)
{
    private SegmentScanner? _scanner;
    private int _input;
    private ulong _location;

    public IReadOnlyList<SegmentFile> Inputs => inputs;

    public required SegmentOutputs Outputs { get; init; }

    /// <summary>What the files held when it began: nothing later is decided upon.</summary>
    public ulong FlushedSequence => flushedSequence;

    /// <summary>Of those that were there when it began; later ones see all that was flushed by then.</summary>
    public ulong? OldestSnapshot => snapshots.Length == 0 ? null : snapshots[0];

    public List<MergeMove> Moves { get; } = [];

    /// <summary>Of the record that <see cref="MoveNext"/> gave.</summary>
    public ulong Location => _location;

    public int RecordBytes { get; private set; }

    public bool MoveNext(out SegmentRecord record)
    {
        while (_input < inputs.Count)
        {
            SegmentFile input = inputs[_input];
            _scanner ??= input.Scan();
            if (_scanner.MoveNext(out record))
            {
                RecordBytes = _scanner.Size;
                _location = Index.Location.OnDisk(
                    input.Slot, (uint)(_scanner.Offset / SegmentFormat.UnitBytes), (uint)(_scanner.Size / SegmentFormat.UnitBytes));
                return true;
            }

            _scanner = null;
            _input++;
        }

        record = default;
        return false;
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
        Moves.Add(new MergeMove(token, check, _location, output, hint.OffsetUnits, hint.LengthUnits));
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
internal readonly record struct MergeMove(ulong Token, uint Check, ulong From, int Output, uint OffsetUnits, uint LengthUnits);
