using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// One copy of one partition on this node: an engine, and the mutations staged by the execution under way. Only touched
/// from inside its mailbox, except where a member says otherwise.
/// </summary>
public sealed class Replica
{
    private readonly WriteBatch _staged = new();
    private SharedLimits? _shared;

    // Records that somebody waits for because of another replica's durability: ascending, some of them durable by now.
    private readonly List<LogPosition> _awaited = [];

    public Replica(uint streamId, KeyspaceOptions options, IStorageEngine engine, IReplicaLog log)
    {
        StreamId = streamId;
        Options = options;
        Engine = engine;
        Log = log;
        Census = new KeyCensus(this);
        IsLimited = Limits(engine);
    }

    /// <summary>Names this replica's part of a log record. Never reused.</summary>
    public uint StreamId { get; }

    public KeyspaceOptions Options { get; internal set; }

    /// <summary>Reads and statistics from any thread; writes only through the members of this class.</summary>
    public IStorageEngine Engine { get; private set; }

    /// <summary>Its engine takes only so many keys, or only so long ones, or another one's limits count: who writes asks before.</summary>
    public bool IsLimited { get; private set; }

    /// <summary>The longest key that may be written.</summary>
    public int KeyBytesMax => Math.Min(Engine.KeyBytesMax, _shared?.KeyBytesMax ?? int.MaxValue);

    /// <summary>The longest value that may be written.</summary>
    public int ValueBytesMax => Math.Min(Engine.ValueBytesMax, _shared?.ValueBytesMax ?? int.MaxValue);

    /// <summary>How many keys that are not there may be written.</summary>
    public long KeysLeft => Math.Min(Engine.KeysLeft, _shared?.KeysLeft ?? long.MaxValue);

    /// <summary>While copies have one engine or another: what none of them may be given is not written. Null where all are alike.</summary>
    public SharedLimits? Shared
    {
        get => _shared;
        set
        {
            _shared = value;
            IsLimited = value is not null || Limits(Engine);
        }
    }

    /// <summary>Of a replica whose writers are held back, for whatever follows them; null of others.</summary>
    internal WritePace? Pace { get; set; }

    /// <summary>As <see cref="IStorageEngine.SuggestWriteDelay"/>, and what is to be waited for beside the engine.</summary>
    public TimeSpan SuggestWriteDelay(int bytes)
    {
        TimeSpan delay = Engine.SuggestWriteDelay(bytes);
        return delay > TimeSpan.Zero || Pace is not { } pace ? delay : pace.Ask(bytes);
    }

    /// <summary>Where its writes go before they count.</summary>
    public IReplicaLog Log { get; }

    /// <summary>How many keys it holds.</summary>
    public KeyCensus Census { get; }

    /// <summary>
    /// From now on the same content is in another engine; the one before is the caller's. What is read from it without the mailbox may
    /// go on for a moment.
    /// </summary>
    internal void MoveTo(IStorageEngine engine, KeyspaceOptions options)
    {
        Check.That(!HasStaged, "a replica moves to another engine in the middle of a write");
        Options = options;
        Engine = engine;
        IsLimited = _shared is not null || Limits(engine);

        // A sweep that is under way goes on in another order, and comes to some keys never.
        Census.ExpectExpired();
    }

    private static bool Limits(IStorageEngine engine) =>
        engine.KeyBytesMax != int.MaxValue || engine.ValueBytesMax != int.MaxValue || engine.KeysLeft != long.MaxValue;

    internal bool HasStaged => _staged.Count != 0;

    internal ReadOnlySpan<byte> StagedBytes => _staged.Bytes;

    internal void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        // Whoever was not asked before is refused here, at the latest: what is in the log must be taken.
        if (IsLimited && key.Length > KeyBytesMax)
            throw new KeyTooLongException(key.Length, KeyBytesMax);
        if (IsLimited && prefix.Length + value.Length > ValueBytesMax)
            throw new ValueTooLongException(value.Length, ValueBytesMax - prefix.Length);
        int start = _staged.Bytes.Length;
        _staged.Put(key, prefix, value, expiresAtMs);
        Engine.Stage(_staged.Bytes[start..]);
    }

    internal void Delete(ReadOnlySpan<byte> key)
    {
        int start = _staged.Bytes.Length;
        _staged.Delete(key);
        Engine.Stage(_staged.Bytes[start..]);
    }

    internal void DeleteRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        int from = _staged.Bytes.Length;
        _staged.DeleteRange(start, end);
        Engine.Stage(_staged.Bytes[from..]);
    }

    /// <param name="position">Of the record.</param>
    /// <param name="durability">Of the record: that of the strictest replica in it.</param>
    /// <param name="durable">How far the log is durable.</param>
    internal void Publish(LogPosition position, Durability durability, LogPosition durable)
    {
        if (durability == Durability.Sync && Options.Durability != Durability.Sync)
            NoteAwaited(position, durable);
        Engine.Publish(position, awaited: durability == Durability.Sync);
        _staged.Clear();
    }

    private void NoteAwaited(LogPosition position, LogPosition durable)
    {
        _awaited.RemoveAll(p => p <= durable);
        _awaited.Add(position);
    }

    /// <summary>Takes back what is staged.</summary>
    internal void Withdraw() => Discard(Engine.PublishedPosition);

    /// <summary>
    /// Takes back what the log has lost after <paramref name="durable"/>, and returns where that begins. Writes that nobody
    /// waited for were answered and stay while the process lives, unless they came after one that was refused.
    /// </summary>
    internal LogPosition? DiscardLost(LogPosition durable)
    {
        LogPosition after = durable;
        if (Options.Durability != Durability.Sync)
        {
            int first = _awaited.FindIndex(p => p > durable);
            if (first < 0)
                return null;
            after = new LogPosition(_awaited[first].Value - 1);
        }

        _awaited.Clear();
        Discard(after);
        return after;
    }

    internal void Discard(LogPosition after)
    {
        Engine.DiscardAfter(after);
        Census.Forget();
        _staged.Clear();
    }
}

/// <summary>What all engines take that copies of a keyspace may have.</summary>
/// <param name="KeyBytesMax">The longest key.</param>
/// <param name="KeyEngine">Whose limit that is.</param>
/// <param name="ValueBytesMax">The longest value.</param>
/// <param name="ValueEngine">Whose limit that is.</param>
/// <param name="KeysLeft">How many more keys, as it was last reckoned.</param>
/// <param name="RoomEngine">Whose limit that is.</param>
public sealed record SharedLimits(int KeyBytesMax, string KeyEngine, int ValueBytesMax, string ValueEngine, long KeysLeft, string RoomEngine);
