using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>Rows straight into segments.</summary>
internal sealed unsafe partial class HashLogEngine
{
    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows)
    {
        Check.That(!_environment.KeepsDigest, "an ingest into an engine that keeps a digest of what is published");
        Check.That(StableSequence == LastSequence, "an ingest while something is not stable");

        // What lies in memory would be flushed above it.
        Flush();
        WaitForFlush();
        lock (_writerLock)
        {
            ThrowIfDisposed();
            Check.That(!_progress.HasStaged, "an ingest between staging and publishing");
            Settle();
            ulong sequence = _progress.Assign();
            IngestAt(sequence, rows);
            _progress.PublishDurable();
        }
    }

    private void IngestAt(ulong sequence, IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows)
    {
        using var output = new SegmentOutputs(_files, _handles, _folder, _identity, _manifest.NewFileNumber, _options.SegmentBytes);
        var entries = new List<(ulong Token, uint Check, int Segment, uint OffsetUnits, uint LengthUnits)>();
        foreach ((ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value) in rows)
        {
            ulong token = StableHash.Hash64(key.Span);
            uint check = KeyCheck.Of(key.Span, _identity);
            if ((entries.Count + 1L) * IndexBytesPerKey > IndexRoomBytes)
                throw new IndexFullException($"{entries.Count + 1} keys are more than the index has room for");
            (int segment, HintEntry hint) = output.Add(
                token, check, new SegmentRecord { Kind = RecordKind.Value, Sequence = sequence, Key = key.Span, Value = value.Span });
            entries.Add((token, check, segment, hint.OffsetUnits, hint.LengthUnits));
        }

        if (entries.Count == 0)
            return;
        List<SegmentFile> added = output.Finish(sequence, sequence);
        lock (_installing)
        {
            LogState state = _manifest.State;
            Commit(added, output, state.With(added.Select(s => s.Facts), [], state.Ranges) with { FlushedSequence = sequence });
        }

        Interlocked.Add(ref _flushBytes, output.BytesWritten);
        foreach ((ulong token, uint check, int segment, uint offsetUnits, uint lengthUnits) in entries)
        {
            ulong location = Location.OnDisk(added[segment].Slot, offsetUnits, lengthUnits);
            using KeyIndex.HeldShard held = _index.Lock(token);
            ulong* there = held.Find(token, check);
            if (there == null)
            {
                held.Insert(token, check, location);
                continue;
            }

            // Of a key that was deleted: its tombstone, in the files or in memory above them.
            IngestOver(there, location, token, check);
        }

        Volatile.Write(ref _flushedSequence, sequence);
        AddSegments(added);
    }

    // What was in memory is named nowhere from now on, and is let go as such: nothing above it, and not what the index leads to.
    private void IngestOver(ulong* there, ulong location, ulong token, uint check)
    {
        ulong at = *there;
        ulong supersededBy = _progress.LastAssigned;
        ulong[] snapshots = _snapshots.Sequences();
        ulong oldestSnapshot = snapshots.Length == 0 ? ulong.MaxValue : snapshots[0];
        while (at != Location.None)
        {
            TailRecord* record = Location.IsMemory(at) ? TailRecord.At(at) : null;
            ulong home = record == null ? at : record->Home;
            if (home != Location.None)
            {
                if (supersededBy == _progress.LastAssigned)
                    _table.AddDead(home);
                if (oldestSnapshot < supersededBy)
                    _oldVersions.Add(token, check, home, supersededBy);
                supersededBy = record == null ? supersededBy : record->Sequence;
            }

            if (record != null)
                record->Next = Location.None;
            at = record == null ? Location.None : record->Previous;
        }

        Volatile.Write(ref *there, location);
    }
}
