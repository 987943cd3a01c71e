using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Expiry;

/// <summary>
/// Deletes expired keys that nobody asks for, so that their space comes back and those who listen hear of it in time. A
/// timer posts it to the node's mailbox; each run walks a bounded slice of the databases that may hold expired keys, in
/// key order, and goes on there the next time. A database whose keys are known to expire later, or never, is not looked
/// at. As long as a slice finds much, the next one follows at once, behind whatever waits in the mailbox.
/// <para>
/// Correct answers never depend on it: reads hide expired keys. Flushes and compactions leave them to it for a day, so that
/// each is told of once, whatever comes first; then, or while the log takes no writes and space counts more, they drop them
/// without a word.
/// </para>
/// </summary>
public sealed class ExpirySweep : IMailboxItem, IDisposable
{
    /// <summary>Keys that one run walks, over all databases: well below a millisecond.</summary>
    public const int KeysPerRunMax = 2000;

    /// <summary>One expired key among so many is a reason to go on at once.</summary>
    private const int DenseShare = 10;

    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(10);

    private readonly IServedNode _node;
    private readonly TimeProvider _time;
    private readonly IExpiryListener _listener;
    private readonly Dictionary<Replica, SweepProgress> _progress = [];
    private readonly BytesBuffer _expired = new(4096);
    private readonly List<ExpiredKey> _found = [];
    // Held by a sweep that runs, so that its end can wait for it. Never contended otherwise.
    private readonly Lock _lifetime = new();
    private ITimer? _timer;
    private long _restsUntil;
    private bool _disposed;
    private int _posted;

    public ExpirySweep(IServedNode node, TimeProvider time, IExpiryListener listener)
    {
        _node = node;
        _time = time;
        _listener = listener;
    }

    /// <summary>Begins to sweep by the clock.</summary>
    public void Start() => _timer = _time.CreateTimer(_ => Post(), state: null, s_period, s_period);

    /// <summary>When it returns, no sweep runs and none will: the node may go.</summary>
    public void Dispose()
    {
        _timer?.Dispose();
        lock (_lifetime)
            _disposed = true;
    }

    /// <summary>Any thread. Does nothing while the last one posted has not run.</summary>
    public void Post()
    {
        if (Interlocked.Exchange(ref _posted, 1) == 0)
            _node.Mailbox.Post(this);
    }

    void IMailboxItem.Run(Execution execution)
    {
        bool dense;
        lock (_lifetime)
            dense = !_disposed && TryRun(execution);
        Volatile.Write(ref _posted, 0);
        if (dense)
            Post();
    }

    /// <summary>What fails outside of one database's files: the sweep of all keeps away for a while.</summary>
    private bool TryRun(Execution execution)
    {
        if (_time.GetTimestamp() < _restsUntil)
            return false;
        try
        {
            return Run(execution);
        }
        catch (StorageException)
        {
            execution.Abandon();
            execution.TakeGate();
            _restsUntil = EndOfRest();
            return false;
        }
    }

    /// <summary>One slice; true when it found so much that the next should follow at once. Inside the mailbox.</summary>
    public bool Run(Execution execution)
    {
        if (!_listener.SweepIsOn)
            return false;
        long nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
        int walked = 0;
        int deleted = 0;
        IReplicaLog? log = null;
        for (int i = 0; i < _node.DatabaseCount && walked < KeysPerRunMax; i++)
        {
            foreach (Replica replica in _node.ReplicasOf(i))
            {
                // Where this node does not lead, somebody else sweeps, and the deletions come from there.
                if (walked >= KeysPerRunMax || replica.Log.Refusal is not null)
                    continue;
                SweepProgress progress = ProgressOf(replica);
                if (_time.GetTimestamp() < progress.RestsUntil || !(progress.IsUnderWay || replica.Census.NextExpiryMs <= nowMs))
                    continue;
                if (!ReferenceEquals(log, replica.Log))
                    EndRecord(execution);
                log = replica.Log;
                walked += Sweep(execution, i, progress, nowMs, KeysPerRunMax - walked, ref deleted);
            }
        }

        EndRecord(execution);

        // Nobody waits for the answer of a sweep, so nobody else would ask for its record to be written.
        if (deleted != 0)
            _node.Log.Commit();
        return deleted > walked / DenseShare;
    }

    private static void EndRecord(Execution execution)
    {
        execution.Commit();
        execution.TakeGate();
    }

    private int Sweep(Execution execution, int database, SweepProgress progress, long nowMs, int keysMax, ref int deleted)
    {
        Replica replica = progress.Replica;
        KeyCensus census = replica.Census;
        if (!progress.IsUnderWay)
        {
            census.BeginSweep();
            progress.IsUnderWay = true;
            progress.HasBegun = false;
            progress.ResumeKey.Clear();
        }

        _expired.Clear();
        _found.Clear();
        int walked = 0;
        try
        {
            Walk(execution, progress, nowMs, keysMax, ref walked);
        }
        catch (StorageException e)
        {
            // The other databases are swept as ever, and here what was found before the damage.
            progress.RestsUntil = EndOfRest();
            string place = e is CorruptionException { Path: not null } damage ? $"{damage.Path}:{damage.Offset}" : e.Message;
            if (!string.Equals(progress.FailedAt, place, StringComparison.Ordinal))
                _listener.Failed(database, e);
            progress.FailedAt = place;
        }

        foreach (ExpiredKey found in _found)
        {
            ReadOnlySpan<byte> key = _expired.WrittenSpan.Slice(found.Offset, found.Length);
            execution.Delete(replica, key, found.ExpiresAtMs);
            _listener.Expired(database, key);
        }

        deleted += _found.Count;
        return walked;
    }

    private void Walk(Execution execution, SweepProgress progress, long nowMs, int keysMax, ref int walked)
    {
        using EngineScan scan = execution.CreateScan(
            progress.Replica, new IteratorOptions { KeysOnly = true, IncludeExpired = true, BypassCache = true });
        // In the order of some engines the empty key is not the first.
        if (progress.HasBegun)
            scan.Seek(progress.ResumeKey.WrittenSpan);
        else
            scan.SeekToFirst();
        progress.HasBegun = true;
        for (; scan.Valid && walked < keysMax; scan.Next())
        {
            walked++;
            long expiresAtMs = scan.ExpiresAtMs;
            if (expiresAtMs == 0)
                continue;
            if (expiresAtMs > nowMs)
            {
                progress.Replica.Census.NoteDeadline(expiresAtMs);
                continue;
            }

            _found.Add(new ExpiredKey(_expired.Length, scan.Key.Length, expiresAtMs));
            _expired.Append(scan.Key);
        }

        progress.IsUnderWay = scan.Valid;
        progress.ResumeKey.Clear();
        if (scan.Valid)
            progress.ResumeKey.Append(scan.Key);
    }

    private long EndOfRest() => _time.GetTimestamp() + (long)(s_rest.TotalSeconds * _time.TimestampFrequency);

    private SweepProgress ProgressOf(Replica replica)
    {
        if (_progress.TryGetValue(replica, out SweepProgress? progress))
            return progress;

        // Replicas that were closed stay here for a while: their progress means nothing any more.
        int open = 0;
        for (int i = 0; i < _node.DatabaseCount; i++)
            open += _node.ReplicasOf(i).Length;
        if (_progress.Count > 2 * open)
            _progress.Clear();
        var added = new SweepProgress(replica);
        _progress.Add(replica, added);
        return added;
    }

    private readonly record struct ExpiredKey(int Offset, int Length, long ExpiresAtMs);

    private sealed class SweepProgress(Replica replica)
    {
        public Replica Replica { get; } = replica;

        public BytesBuffer ResumeKey { get; } = new(16);

        /// <summary>Between its first key and its last.</summary>
        public bool IsUnderWay { get; set; }

        /// <summary>It goes on at <see cref="ResumeKey"/>, and not with the first key.</summary>
        public bool HasBegun { get; set; }

        /// <summary>A timestamp; after a failure.</summary>
        public long RestsUntil { get; set; }

        /// <summary>The last failure that was told: its file and offset, or what it said.</summary>
        public string? FailedAt { get; set; }
    }
}
