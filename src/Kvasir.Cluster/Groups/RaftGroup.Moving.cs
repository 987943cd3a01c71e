using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>The replica moves to another engine. The log knows of no engine, and its other copies may have others.</summary>
public sealed partial class RaftGroup
{
    /// <summary>The entry of the snapshot that the engine began with; zero for none.</summary>
    internal LogIndex SnapshotIndex => _snapshot;

    /// <summary>
    /// What the engine shows as stable is exactly what entries up to here have made; null while that cannot be said: entries that were
    /// applied as one become stable as one, when the last of them does.
    /// </summary>
    internal LogIndex? StablePlace => _stable == _applied || (_serves && _stable >= _noOp) ? _stable : null;

    /// <summary>The log has something that the replica's engine does not take, and it cannot go on before it is in another.</summary>
    internal bool HasMisfit { get; private set; }

    /// <summary>Up to here entries are committed, applied, and durable in this node's journal.</summary>
    internal LogIndex StableIndex => _stable;

    /// <summary>Bytes of the entries behind this one up to the last stable one, about.</summary>
    internal long StableBytesAfter(LogIndex index)
    {
        if (index >= _stable)
            return 0;
        _host.Journal.Fit(Id, index.Next, _stable, long.MaxValue, out long bytes);
        return Math.Max(bytes, (long)(_stable - index));
    }

    /// <summary>
    /// Gives entries to the sink, from the first on and at most up to the last, until they have <paramref name="bytesMax"/> bytes, but at
    /// least one. Throws where the log does not have it any more.
    /// </summary>
    internal void ReadEntries(LogIndex first, LogIndex last, long bytesMax, IEntrySink sink)
    {
        Check.That(first > BaseIndex || first <= last);
        if (first <= BaseIndex)
            throw new StorageException($"entries from {first} on cannot be read: the log of shard {Id} has let go of them");
        if (!_entries.Holds(first) && !_host.TryReadBack(this, first, LogIndex.Least(last, _entries.First.Previous), sink, bytesMax))
            throw _host.Journal.ReadFailure ?? new StorageException($"entries from {first} on cannot be read: the log of shard {Id} has let go of them");
        for (LogIndex index = first; index <= last && bytesMax > 0 && _entries.Holds(index); index = index.Next)
        {
            ReadOnlySpan<byte> bytes = _entries.BytesOf(index);
            bytesMax -= bytes.Length + 1;
            sink.Entry(index, _entries.TermOf(index), _entries.KindOf(index), bytes);
        }
    }

    /// <summary>
    /// Gives an engine that holds exactly what is stable what was published beyond that, so that it is as this replica's engine is, to
    /// the last write that is not committed yet. False where that is too much for one turn.
    /// </summary>
    internal bool TryBringUp(IStorageEngine engine, long bytesMax)
    {
        // A leader has published all that it has; anybody else, what it has applied.
        LogIndex last = _serves ? LogIndex.Least(LastIndex, _entries.Next.Previous) : _applied;
        if (last > _stable)
        {
            var tail = new TailSink(this, engine, bytesMax);
            for (LogIndex next = _stable.Next; next <= last; next = tail.Last.Next)
            {
                ReadEntries(next, last, bytesMax, tail);
                if (tail.Last < next || tail.IsTooMuch)
                {
                    // It is to be given them again, as they become stable.
                    engine.DiscardAfter(new LogPosition(_stable.Value));
                    return false;
                }
            }
        }

        StateDigest own = Digest, theirs = engine.PublishedDigest;
        if (!own.IsUnknown && !theirs.IsUnknown && own != theirs)
            throw new CorruptionException($"the copy of shard {Id} has come to digest {theirs}, and the replica to {own}");
        return true;
    }

    /// <summary>From now on the replica is in this engine, which was brought up in the same turn; the one before is the caller's.</summary>
    internal void MoveTo(IStorageEngine engine, KeyspaceOptions options)
    {
        engine.MarkStable(new LogPosition(_stable.Value));
        Replica.MoveTo(engine, options);
        HasMisfit = false;
        engine.ExpectReads(_serves);
    }

    /// <summary>Publishes entries one by one: what is not stable may have to be forgotten again, from any of them on.</summary>
    private sealed class TailSink(RaftGroup group, IStorageEngine engine, long bytesMax) : IEntrySink
    {
        private long _bytes;

        public LogIndex Last { get; private set; } = group._stable;

        public bool IsTooMuch => _bytes > bytesMax;

        public void Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes)
        {
            if (IsTooMuch)
                return;
            Check.That(index == Last.Next, $"entry {index} is read behind {Last}");
            Last = index;
            _bytes += bytes.Length;
            ReadOnlySpan<byte> batch = kind == EntryKind.Normal ? EntryParts.BatchOf(group.Id, index, bytes) : [];
            if (batch.IsEmpty)
                return;
            if (Misfit.Of(batch, engine) is { } misfit)
                throw new UnfitException($"there is {misfit}");
            engine.Stage(batch);
            engine.Publish(new LogPosition(index.Value));
        }
    }
}

/// <summary>What an entry has for the engine of its group.</summary>
internal static class EntryParts
{
    /// <summary>Empty where it has nothing. Throws where it says that digests begin anew: what was copied before has another.</summary>
    public static ReadOnlySpan<byte> BatchOf(GroupId group, LogIndex index, ReadOnlySpan<byte> entry)
    {
        ReadOnlySpan<byte> batch = default;
        var reader = new JournalPayloadReader(entry);
        while (reader.MoveNext())
        {
            if (reader.StreamId == EntryNotes.Stream)
            {
                if (EntryNotes.TryReadDigest(reader.Bytes, out _, out bool begins) && begins)
                    throw new StorageException($"the digests of shard {group} begin anew at entry {index}");
                continue;
            }

            Check.That(reader.StreamId == group.Value && batch.IsEmpty, $"entry {index} of group {group} has a part of stream {reader.StreamId}");
            batch = reader.Bytes;
        }

        Check.That(!reader.Malformed, $"entry {index} of group {group} makes no sense");
        return batch;
    }
}
