using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>The application of committed entries that this node did not propose, or no longer leads.</summary>
public sealed partial class RaftGroup
{
    // Read from the journal in one turn.
    private const long ReadBackBytes = 256 << 10;

    private static readonly TimeSpan s_applyRetry = TimeSpan.FromMilliseconds(100);

    private TimeSpan _applyAt = TimeSpan.MinValue;

    private void ApplyFromLog(TimeSpan now, LogIndex commit)
    {
        _apply.Begin(now, _host.ApplyBytesLeft);
        bool isStarved = !_apply.GoesOn;
        while (_apply.Last < commit && _apply.GoesOn)
        {
            LogIndex next = _apply.Last.Next;
            if (_entries.Holds(next))
            {
                _apply.Entry(next, _entries.TermOf(next), _entries.KindOf(next), _entries.BytesOf(next));
                continue;
            }

            LogIndex last = LogIndex.Least(commit, _entries.First.Previous);
            if ((!_host.TryReadBack(this, next, last, _apply, ReadBackBytes) || _apply.Last < next) && _apply.GoesOn)
            {
                StorageException? cause = _host.Journal.ReadFailure;
                _apply.Fail($"entries from {next} on cannot be read from the journal{(cause is null ? "" : $": {cause.Message}")}");

                // What has become of other bytes, or is gone, does not come back by waiting.
                if (cause is CorruptionException or FileMissingException)
                    Damaged(cause as CorruptionException ?? new CorruptionException(cause.Message, cause));
            }

            // Other groups' entries lie between these in the journal: their turns come first, while what was read is at hand.
            break;
        }

        _apply.End();
        _host.AppliedBytes(_apply.Bytes);
        ApplyFailure = _apply.Failure;
        _applyAt = _apply.ResumeAt;
        if (_applied < commit && _apply.Failure is null && _applyAt == TimeSpan.MinValue)
            _host.GoOn(this, isStarved);
    }

    /// <summary>
    /// Gives committed entries to the engine, in order, until it has had enough for a turn; many at once, since it looks for the places of
    /// many keys in hardly more time than for that of one.
    /// </summary>
    private sealed class EntryApply(RaftGroup group) : IEntrySink
    {
        private TimeSpan _now;
        private long _bytesMax;

        /// <summary>Applied since it began, about.</summary>
        public long Bytes { get; private set; }

        /// <summary>Up to here entries are applied, or gathered to be.</summary>
        public LogIndex Last { get; private set; }

        public bool GoesOn => Bytes < _bytesMax && Failure is null && ResumeAt == TimeSpan.MinValue;

        public string? Failure { get; private set; }

        public TimeSpan ResumeAt { get; private set; }

        private GatheredEntries Gathered => group._host.ToApply;

        public void Begin(TimeSpan now, long bytesMax)
        {
            // A read that failed may have left some, which are not applied.
            Gathered.Clear();
            (_now, _bytesMax, Bytes, Last) = (now, bytesMax, 0, group._applied);
            (Failure, ResumeAt) = (null, TimeSpan.MinValue);
        }

        public void End() => TryPublish(Gathered.Bytes);

        public void Fail(string reason)
        {
            Failure = reason;
            ResumeAt = _now + s_applyRetry;
        }

        public void Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes)
        {
            // The rest of what was read back when the turn is over, or the engine is not willing: it is read again.
            if (!GoesOn)
                return;
            Check.That(index == Last.Next, $"entry {index} is applied behind {Last}");
            bool isNormal = kind == EntryKind.Normal;
            bool isLarge = bytes.Length > GatheredEntries.CopiedBytesMax;
            if (isLarge && !TryPublish(Gathered.Bytes))
                return;
            if (isNormal && !group._serves)
            {
                TimeSpan delay = group.Replica.Engine.SuggestWriteDelay(bytes.Length);

                // The clock goes in steps, so a short pause would take a whole one. The engine counts what it is owed: a little later
                // it asks for a pause that is worth it.
                if (delay >= group._host.Options.TickStep)
                    ResumeAt = _now + delay;
                if (!TryGather(index, bytes))
                    return;
            }

            group.Judge(index, term);
            Last = index;
            Bytes += bytes.Length + 64;
            bool isDue = isLarge || Gathered.IsEmpty || Gathered.IsFull || group.Watcher is not null;
            if (isDue && !TryPublish(isLarge ? bytes : Gathered.Bytes))
                return;
            if (isNormal)
                group.Watcher?.Invoke(index, bytes);
        }

        private bool TryGather(LogIndex index, ReadOnlySpan<byte> bytes)
        {
            var position = new LogPosition(index.Value);
            Gathered.BeginEntry();
            var reader = new JournalPayloadReader(bytes);
            while (reader.MoveNext())
            {
                if (reader.StreamId == EntryNotes.Stream)
                {
                    if (TryHeed(index, bytes, reader.Bytes))
                        continue;
                    Gathered.WithdrawEntry();
                    return false;
                }

                Check.That(reader.StreamId == group.Id.Value, $"entry {index} of group {group.Id} writes to stream {reader.StreamId}");
                if (Misfit.Of(reader.Bytes, group.Replica.Engine) is { } misfit)
                {
                    // A leader has proposed it that did not know yet which engines there are. It is applied when the replica is back in an
                    // engine that takes it.
                    Gathered.WithdrawEntry();
                    group.HasMisfit = true;
                    Fail($"entry {index} has {misfit}: {group.Replica.Options.Engine}");
                    return false;
                }

                Gathered.AddBatch(bytes, reader.Bytes, position);
            }

            Check.That(!reader.Malformed, $"entry {index} of group {group.Id} is committed and makes no sense");
            return true;
        }

        private bool TryHeed(LogIndex index, ReadOnlySpan<byte> entry, ReadOnlySpan<byte> note)
        {
            if (WriteNote.IsValid(note))
                Gathered.AddNote(entry, note, new LogPosition(index.Value));
            else if (!EntryNotes.TryReadDigest(note, out StateDigest digest, out bool begins))
                Fail($"entry {index} has a note that this version does not know");
            else if (TryPublish(Gathered.Bytes) && !group.Agrees(index, digest, begins))
                Failure = "it differs";
            return Failure is null;
        }

        /// <summary>Has the engine take what is gathered: all of it or, when it cannot, nothing.</summary>
        /// <param name="payloads">Where it lies.</param>
        private bool TryPublish(ReadOnlySpan<byte> payloads)
        {
            Replica replica = group.Replica;
            try
            {
                if (!Gathered.Batches.IsEmpty)
                {
                    replica.Engine.Apply(payloads, Gathered.Batches);
                    replica.Census.Forget();
                }

                foreach (LoggedBatch note in Gathered.Notes)
                    group.Sessions.Add(note.Position, payloads.Slice(note.Start, note.Length));
                group._applied = Last;
                return true;
            }
            catch (StorageException e)
            {
                replica.Withdraw();
                Fail(e.Message);
                Last = group._applied;
                return false;
            }
            finally
            {
                Gathered.Clear();
            }
        }
    }
}
