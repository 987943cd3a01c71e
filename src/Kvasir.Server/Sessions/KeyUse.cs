using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// When, or how often, keys were used: for OBJECT IDLETIME and FREQ. Data lie on disk, so there is no object to write it
/// into; a table of fixed size over the keys' hashes remembers those used last, and a key that it has lost counts as not
/// used since the start. Writes are always noted. Reads are noted from the moment on when somebody may ask: when
/// maxmemory-policy names LRU or LFU, or after the first OBJECT IDLETIME. Inside the mailbox.
/// </summary>
internal sealed class KeyUse(ServerClock clock)
{
    private const int SlotsOfWrites = 1 << 14;
    private const int SlotsOfReads = 1 << 20;
    private const int NewCounter = 5;
    private const int CounterMax = byte.MaxValue;
    private readonly long _startedSeconds = clock.NowMs / 1000;

    /// <summary>Upper half: of the key's hash. Lower half: the second of the last use, or the minute and a counter.</summary>
    private ulong[] _slots = new ulong[SlotsOfWrites];

    /// <summary>Reads must be noted, too.</summary>
    public bool NotesReads { get; private set; }

    /// <summary>An LFU policy: it keeps counters, and no times.</summary>
    public bool IsCounting { get; private set; }

    public long LogFactor { get; set; } = 10;

    public long DecayMinutes { get; set; } = 1;

    public void SetPolicy(string policy)
    {
        bool counting = policy.EndsWith("-lfu", StringComparison.Ordinal);
        if (counting != IsCounting)
            Array.Clear(_slots);
        IsCounting = counting;
        if (counting || policy.EndsWith("-lru", StringComparison.Ordinal))
            NoteReads();
    }

    /// <summary>From now on reads are noted.</summary>
    public void NoteReads()
    {
        if (NotesReads)
            return;
        NotesReads = true;
        ulong[] slots = new ulong[SlotsOfReads];
        // The slot is the lower bits of the hash's upper half, which the slot keeps: each entry finds its new place.
        foreach (ulong slot in _slots)
        {
            if (slot != 0)
                slots[(slot >> 32) & (SlotsOfReads - 1)] = slot;
        }

        _slots = slots;
    }

    public void Used(int database, ReadOnlySpan<byte> key)
    {
        uint tag = Tag(database, key);
        ref ulong slot = ref _slots[tag & (_slots.Length - 1)];
        uint value = IsCounting
            ? Counted((uint)(slot >> 32) == tag ? Decayed((uint)slot) : NewCounter - 1)
            : (uint)(clock.NowMs / 1000);
        slot = ((ulong)tag << 32) | value;
    }

    /// <summary>Seconds since the last use that it knows of.</summary>
    public long IdleSeconds(int database, ReadOnlySpan<byte> key)
    {
        long last = TryFind(database, key, out uint value) && !IsCounting ? value : _startedSeconds;
        return Math.Max((clock.NowMs / 1000) - last, 0);
    }

    /// <summary>The logarithmic counter, as it has decayed since.</summary>
    public int Frequency(int database, ReadOnlySpan<byte> key) =>
        TryFind(database, key, out uint value) && IsCounting ? Decayed(value) : 0;

    /// <summary>RESTORE's IDLETIME.</summary>
    public void SetIdleSeconds(int database, ReadOnlySpan<byte> key, long seconds) =>
        Set(database, key, (uint)Math.Max((clock.NowMs / 1000) - seconds, 0));

    /// <summary>RESTORE's FREQ.</summary>
    public void SetFrequency(int database, ReadOnlySpan<byte> key, int counter) => Set(database, key, Packed(counter));

    private static uint Tag(int database, ReadOnlySpan<byte> key)
    {
        uint tag = (uint)(StableHash.Hash64(key, (ulong)database) >> 32);
        return tag == 0 ? 1 : tag;
    }

    private void Set(int database, ReadOnlySpan<byte> key, uint value)
    {
        uint tag = Tag(database, key);
        _slots[tag & (_slots.Length - 1)] = ((ulong)tag << 32) | value;
    }

    private bool TryFind(int database, ReadOnlySpan<byte> key, out uint value)
    {
        uint tag = Tag(database, key);
        ulong slot = _slots[tag & (_slots.Length - 1)];
        value = (uint)slot;
        return (uint)(slot >> 32) == tag;
    }

    private uint Packed(int counter) => ((uint)(clock.NowMs / 60_000) << 8) | (uint)counter;

    /// <summary>One more use: the higher the counter, the less likely it grows.</summary>
    private uint Counted(int counter)
    {
        double likely = 1.0 / ((Math.Max(counter - NewCounter, 0) * LogFactor) + 1);
        return Packed(counter < CounterMax && Random.Shared.NextDouble() < likely ? counter + 1 : counter);
    }

    private int Decayed(uint value)
    {
        int counter = (int)(value & CounterMax);
        if (DecayMinutes == 0)
            return counter;
        long minutes = ((clock.NowMs / 60_000) - (value >> 8)) & 0xFFFFFF;
        return (int)Math.Max(counter - (minutes / DecayMinutes), 0);
    }
}
