using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// The right to read and write the replicas of one mailbox, held by the item that runs. Mutations are staged as they are
/// made and visible to later reads of the same execution; <see cref="Commit"/> puts all of them, whichever replicas they
/// touch, into one record of the log that these replicas share, and publishes them together.
/// <para>
/// <b>Gate.</b> A reply may leave only when a log is durable up to a position: for writes to
/// <see cref="Durability.Sync"/> keyspaces their record's position, for reads that of the writes they saw. What is read and
/// written between two takings of the gate is of one log. Whoever sends replies takes the gate after each command.
/// </para>
/// </summary>
public sealed class Execution
{
    private readonly List<Action<LogPosition?>> _endings = [];
    private readonly List<Replica> _touched = [];
    private readonly BytesBuffer _record = new(4096);
    private readonly BytesBuffer _note = new(16);
    private WriteId _noted;
    private IReplicaLog? _gateLog;
    private LogPosition _gate;
    private ulong _publishedUpTo = ulong.MaxValue;

    internal Execution()
    {
    }

    /// <summary>
    /// Every record up to here has been published to its engines; <see cref="LogPosition.Max"/> when no record is between its
    /// log and its engines. Means something where all replicas share one log. Any thread.
    /// </summary>
    internal LogPosition PublishedUpTo => new(Volatile.Read(ref _publishedUpTo));

    /// <summary>Bytes staged since the last commit.</summary>
    public int StagedBytes
    {
        get
        {
            int bytes = 0;
            foreach (Replica replica in _touched)
                bytes += replica.StagedBytes.Length;
            return bytes;
        }
    }

    /// <summary>The log that what is staged will go to; null when nothing is.</summary>
    public IReplicaLog? StagedLog => _touched.Count == 0 ? null : _touched[0].Log;

    /// <summary>Reads through everything staged. The value is appended to <paramref name="value"/> unless null.</summary>
    public EntryInfo Get(Replica replica, ReadOnlySpan<byte> key, BytesBuffer? value)
    {
        EntryInfo info;
        try
        {
            info = replica.Engine.Get(key, ReadView.Applied, value);
        }
        catch (CorruptionException e)
        {
            replica.Log.Damaged(e);
            throw;
        }

        if (info.Sequence > replica.Engine.StableSequence && replica.Options.Durability == Durability.Sync)
            RaiseGate(replica.Log, replica.Log.AwaitedPosition);
        return info;
    }

    /// <summary>For answers that tell something of all that a replica holds: they wait until the last of it is durable.</summary>
    public void SeeAll(Replica replica)
    {
        if (replica.Engine.LastSequence > replica.Engine.StableSequence && replica.Options.Durability == Durability.Sync)
            RaiseGate(replica.Log, replica.Log.AwaitedPosition);
    }

    /// <summary>A walk over everything, staged writes included, in the engine's own order; dispose it before the item ends.</summary>
    public EngineScan CreateScan(Replica replica, in IteratorOptions options)
    {
        SeeAll(replica);
        if (!replica.Log.HeedsDamage)
            return replica.Engine.CreateScan(options with { View = ReadView.Applied });
        try
        {
            return new GuardedScan(replica.Engine.CreateScan(options with { View = ReadView.Applied }), replica.Log);
        }
        catch (CorruptionException e)
        {
            replica.Log.Damaged(e);
            throw;
        }
    }

    /// <summary>As <see cref="CreateScan"/>, in the order of the keys' bytes and both ways, where the replica's engine has it.</summary>
    public EngineIterator CreateIterator(Replica replica, IOrderedEngine engine, in IteratorOptions options)
    {
        Check.That(engine == replica.Engine);
        SeeAll(replica);
        if (!replica.Log.HeedsDamage)
            return engine.CreateIterator(options with { View = ReadView.Applied });
        try
        {
            return new GuardedIterator(engine.CreateIterator(options with { View = ReadView.Applied }), replica.Log);
        }
        catch (CorruptionException e)
        {
            replica.Log.Damaged(e);
            throw;
        }
    }

    /// <summary>
    /// Sets a key, of which nothing need be known, to <paramref name="prefix"/> followed by <paramref name="value"/>.
    /// </summary>
    public void Put(Replica replica, ReadOnlySpan<byte> key, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        Touch(replica);
        replica.Census.BeforeBlindPut(key, expiresAtMs);
        replica.Put(key, prefix, value, expiresAtMs);
    }

    /// <summary>As the other overload, for a key that was looked up in this execution: what was found, and its deadline.</summary>
    public void Put(
        Replica replica,
        ReadOnlySpan<byte> key,
        ReadOnlySpan<byte> prefix,
        ReadOnlySpan<byte> value,
        long expiresAtMs,
        bool existed,
        long previousExpiresAtMs)
    {
        Touch(replica);
        replica.Census.Put(existed, previousExpiresAtMs, expiresAtMs);
        replica.Put(key, prefix, value, expiresAtMs);
    }

    /// <summary>Deletes a key of which nothing need be known.</summary>
    public void Delete(Replica replica, ReadOnlySpan<byte> key)
    {
        Touch(replica);
        replica.Census.DeleteBlind();
        replica.Delete(key);
    }

    /// <summary>Deletes a key that was looked up in this execution and is there, alive or expired.</summary>
    /// <param name="replica">Where.</param>
    /// <param name="key">What.</param>
    /// <param name="previousExpiresAtMs">The deadline that the look-up found; 0 for none.</param>
    public void Delete(Replica replica, ReadOnlySpan<byte> key, long previousExpiresAtMs)
    {
        Touch(replica);
        replica.Census.Delete(previousExpiresAtMs);
        replica.Delete(key);
    }

    /// <summary>Deletes every key in [start, end); an empty end means no bound.</summary>
    public void DeleteRange(Replica replica, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        Touch(replica);
        if (start.IsEmpty && end.IsEmpty)
            replica.Census.Clear();
        else
            replica.Census.Forget();
        replica.DeleteRange(start, end);
    }

    /// <summary>
    /// Logs and publishes everything staged since the last commit: one record, all or nothing. Call it at the end of each
    /// command, each transaction, or each group of commands whose replies wait for it together.
    /// </summary>
    public void Commit()
    {
        if (_touched.Count == 0)
            return;
        IReplicaLog log = _touched[0].Log;
        if (_note.Length != 0)
            EndNote();
        Durability durability = Durability.None;
        foreach (Replica replica in _touched)
        {
            Check.That(ReferenceEquals(replica.Log, log), $"one commit writes to two logs");
            JournalPayload.AppendEntry(_record, replica.StreamId, replica.StagedBytes);
            if (replica.Options.Durability < durability)
                durability = replica.Options.Durability;
        }

        Volatile.Write(ref _publishedUpTo, log.AppendedPosition.Value);
        LogPosition position = log.Append(_record.WrittenSpan, durability);
        foreach (Replica replica in _touched)
            replica.Publish(position, durability, log.DurablePosition);
        Volatile.Write(ref _publishedUpTo, ulong.MaxValue);
        _record.Clear();
        _touched.Clear();
        if (_endings.Count != 0)
            End(position);
        if (_record.Capacity > 1 << 20)
            _record.ClearAndTrim(1 << 20);
        if (durability == Durability.Sync)
            RaiseGate(log, position);
    }

    /// <summary>
    /// Withdraws everything staged since the last commit, after the disk refused a read or the log refused the record in
    /// the middle of it: none of it has happened, or will.
    /// </summary>
    public void Abandon()
    {
        if (_touched.Count == 0)
            return;
        foreach (Replica replica in _touched)
            replica.Withdraw();
        _note.Clear();
        _record.Clear();
        _touched.Clear();
        End(position: null);
    }

    /// <summary>
    /// What was staged last is this write of another node's client, and this is its reply: the record will say so, so that the log's
    /// <see cref="IReplicaLog.Sessions"/> know it when it comes again.
    /// </summary>
    public void Remember(WriteId id, ReadOnlySpan<byte> reply)
    {
        Check.That(_touched.Count != 0, $"a write is remembered that stages nothing");
        if (_note.Length != 0 && _noted.Session != id.Session)
            EndNote();
        if (_note.Length == 0)
        {
            WriteNote.Begin(_note, id.Session);
            _noted = default;
        }

        WriteNote.Add(_note, _noted.Sequence, id.Sequence, reply);
        _noted = id;
    }

    /// <summary>What is answered is in the log at this position: the answer waits until it is durable.</summary>
    public void SeeRecord(IReplicaLog log, LogPosition position) => RaiseGate(log, position);

    // Notes are the first parts of the record.
    private void EndNote()
    {
        JournalPayload.AppendEntry(_record, WriteNote.Stream, _note.WrittenSpan);
        _note.Clear();
    }

    /// <summary>
    /// For what is kept beside the replicas and changes with what is staged: told the record's position when it is
    /// committed, null when it is abandoned; the last one to ask first.
    /// </summary>
    internal void WhenEnded(Action<LogPosition?> ending) => _endings.Add(ending);

    private void End(LogPosition? position)
    {
        for (int i = _endings.Count - 1; i >= 0; i--)
            _endings[i](position);
        _endings.Clear();
    }

    /// <summary>Forgets the gate: the caller has taken it for the replies it guards.</summary>
    public Gate TakeGate()
    {
        Gate gate = new(_gateLog, _gate);
        _gateLog = null;
        _gate = LogPosition.Zero;
        return gate;
    }

    /// <summary>Called when an item ends: what it staged and did not commit would be lost without a trace.</summary>
    internal void EndItem() => Check.That(_touched.Count == 0, $"an item ended with uncommitted writes");

    private void Touch(Replica replica)
    {
        if (!replica.HasStaged)
            _touched.Add(replica);
    }

    private void RaiseGate(IReplicaLog log, LogPosition position)
    {
        if (position <= _gate && ReferenceEquals(log, _gateLog))
            return;
        if (position <= log.DurablePosition)
            return;
        Check.That(_gateLog is null || ReferenceEquals(log, _gateLog), $"one reply waits for two logs");
        _gateLog = log;
        _gate = position;
    }
}
