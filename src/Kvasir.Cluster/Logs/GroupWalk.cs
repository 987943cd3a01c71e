using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Logs;

/// <summary>
/// Reads the writes of one replica from its group's log, as far as they are committed, applied here and durable here. The log belongs to
/// the mailbox, so a piece of it is fetched there and read elsewhere.
/// </summary>
/// <param name="group">Whose log keeps what lies behind the place.</param>
/// <param name="after">The index of an entry that was stable.</param>
internal sealed class GroupWalk(RaftGroup group, LogIndex after) : IWriteFeed, IEntrySink
{
    // In one turn of the mailbox.
    private const long FetchBytes = 256 << 10;

    // So few new ones are no reason to fetch: where somebody always writes, there are always some, and the end is taken in one turn.
    private const ulong EntriesLeft = 4096;

    // Beside its bytes, of an entry: that many small ones count for something.
    private const int EntryOverhead = 16;

    private readonly BytesBuffer _bytes = new();
    private readonly List<(int Start, int Length, int EntryBytes)> _fetched = [];
    private int _next;
    private ulong _readUpTo = after.Value;
    private ulong _fetchedUpTo = after.Value;
    private long _fetchedBehind;
    private bool _isBehind = true;
    private long _logBehind;

    public LogPosition ReadUpTo => new(_readUpTo);

    public long BytesRead { get; private set; }

    public long BytesBehind => _fetchedBehind + Volatile.Read(ref _logBehind);

    public bool WantsFetch => _next == _fetched.Count && (_isBehind || group.StableIndex.Value > _fetchedUpTo + EntriesLeft);

    public bool Fetch()
    {
        if (_next < _fetched.Count)
            return true;
        _bytes.ClearAndTrim((int)FetchBytes * 2);
        _fetched.Clear();
        _next = 0;
        LogIndex stable = group.StableIndex;
        var from = new LogIndex(_fetchedUpTo);
        if (from < stable)
            group.ReadEntries(from.Next, stable, FetchBytes, this);
        _isBehind = _fetchedUpTo < stable.Value;
        Volatile.Write(ref _logBehind, group.StableBytesAfter(new LogIndex(_fetchedUpTo)));
        return _fetched.Count > 0;
    }

    public bool TryNext(out ReadOnlySpan<byte> batch)
    {
        batch = default;
        if (_next == _fetched.Count)
            return false;
        (int start, int length, int entryBytes) = _fetched[_next++];
        _readUpTo++;
        BytesRead += entryBytes;
        _fetchedBehind -= entryBytes;
        batch = _bytes.WrittenSpan.Slice(start, length);
        return true;
    }

    public void Dispose() => _fetched.Clear();

    void IEntrySink.Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes)
    {
        Check.That(index.Value == _fetchedUpTo + 1, $"entry {index} is read behind {_fetchedUpTo}");
        ReadOnlySpan<byte> batch = kind == EntryKind.Normal ? EntryParts.BatchOf(group.Id, index, bytes) : [];
        _fetched.Add((_bytes.Length, batch.Length, bytes.Length + EntryOverhead));
        _fetchedBehind += bytes.Length + EntryOverhead;
        _bytes.Append(batch);
        _fetchedUpTo = index.Value;
    }
}
