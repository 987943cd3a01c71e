using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Replicas;

/// <summary>How many keys a replica holds, how many of them have a deadline, and how far away those are on average.</summary>
public readonly record struct KeyNumbers(long Keys, long Expiring, long AverageTtlMs);

/// <summary>
/// The number of keys of a replica, kept up while that is cheap. The engine cannot tell it, because a blind write does
/// not look whether its key is there; so after a count by scan, a bounded number of blind writes do look, and keep the
/// numbers exact for the next who asks; then they stop looking, and the next who asks counts again. Looking costs at most
/// about as much as the count it saves, so nobody pays more than twice the cheaper way, whatever the mix.
/// <para>
/// Also remembers from when on the replica may hold expired keys, so that sweeps of others cost nothing. Mailbox only.
/// </para>
/// </summary>
public sealed class KeyCensus
{
    /// <summary>So many keys are counted even for those who want an estimate only.</summary>
    public const long CheapCountMax = 50_000;

    private readonly Replica _replica;

    // Meaningful while _known. A key counts from its put to its deletion, also when its deadline passes in between, except
    // for those whose deadline had passed by _countedAtMs: they were left out.
    private bool _known;
    private long _keys;
    private long _expiring;
    private Int128 _deadlineSum;
    private long _countedAtMs;

    /// <summary>No key that was counted has an earlier deadline; once it has passed, the engine may drop keys by itself.</summary>
    private long _earliestDeadlineMs;
    private long _looksLeft;

    internal KeyCensus(Replica replica) => _replica = replica;

    /// <summary>Until then no key of the replica expires; 0 while nobody has looked.</summary>
    public long NextExpiryMs { get; private set; }

    /// <summary>The numbers as of now, exactly; counts one by one if they are not known.</summary>
    public KeyNumbers Count(Execution execution, long nowMs)
    {
        if (!_known || nowMs >= _earliestDeadlineMs)
            TryCountAll(execution, nowMs, long.MaxValue);
        execution.SeeAll(_replica);
        _looksLeft = Math.Max(1024, _keys / 8);
        return Numbers(nowMs);
    }

    /// <summary>Keys that are stored, expired ones too, counted one by one.</summary>
    public long CountStored(Execution execution)
    {
        long keys = 0;
        using EngineScan scan = execution.CreateScan(
            _replica, new IteratorOptions { KeysOnly = true, IncludeExpired = true, BypassCache = true });
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            keys++;
        return keys;
    }

    /// <summary>The numbers as of now where that is cheap; else those of the first keys, projected on the engine's estimate.</summary>
    public KeyNumbers Estimate(Execution execution, long nowMs, long countedMax = CheapCountMax)
    {
        execution.SeeAll(_replica);
        if ((_known && nowMs < _earliestDeadlineMs) || TryCountAll(execution, nowMs, countedMax))
            return Numbers(nowMs);
        KeyNumbers sample = Numbers(nowMs);
        long keys = Math.Max(_replica.Engine.GetStatistics().EstimatedKeys, sample.Keys);
        return sample with { Keys = keys, Expiring = (long)((Int128)sample.Expiring * keys / Math.Max(sample.Keys, 1)) };
    }

    /// <summary>A put by somebody who did not look. Call before it is staged.</summary>
    internal void BeforeBlindPut(ReadOnlySpan<byte> key, long expiresAtMs)
    {
        if (_known)
        {
            if (_looksLeft > 0)
            {
                _looksLeft--;
                EntryInfo info = Look(key);
                // A value that the engine hides still counts, if its deadline had not passed when the keys were counted.
                bool counted = info.Found || info.ExpiresAtMs > _countedAtMs;
                Put(counted, info.ExpiresAtMs, expiresAtMs);
                return;
            }

            _known = false;
        }

        NoteDeadline(expiresAtMs);
    }

    private EntryInfo Look(ReadOnlySpan<byte> key)
    {
        try
        {
            return _replica.Engine.Get(key, ReadView.Applied, value: null);
        }
        catch (CorruptionException e)
        {
            _replica.Log.Damaged(e);
            throw;
        }
    }

    /// <summary>A put over what a look-up found.</summary>
    internal void Put(bool existed, long previousExpiresAtMs, long expiresAtMs)
    {
        if (existed)
            Remove(previousExpiresAtMs);
        _keys++;
        if (expiresAtMs != 0)
        {
            _expiring++;
            _deadlineSum += expiresAtMs;
            _earliestDeadlineMs = Math.Min(_earliestDeadlineMs, expiresAtMs);
        }

        NoteDeadline(expiresAtMs);
    }

    /// <summary>A deletion by somebody who did not look.</summary>
    internal void DeleteBlind() => _known = false;

    /// <summary>A deletion of what a look-up found, alive or expired.</summary>
    internal void Delete(long previousExpiresAtMs)
    {
        if (previousExpiresAtMs == 0 || previousExpiresAtMs > _countedAtMs)
            Remove(previousExpiresAtMs);
    }

    /// <summary>Everything was deleted, or nothing was ever there.</summary>
    internal void Clear()
    {
        _known = true;
        _keys = _expiring = 0;
        _deadlineSum = 0;
        _countedAtMs = 0;
        _earliestDeadlineMs = NextExpiryMs = long.MaxValue;
        _looksLeft = 1024;
    }

    /// <summary>Something happened that was not told.</summary>
    internal void Forget()
    {
        _known = false;
        NextExpiryMs = 0;
    }

    /// <summary>Nobody knows when the next key expires: a sweep will tell.</summary>
    internal void ExpectExpired() => NextExpiryMs = 0;

    /// <summary>A sweep begins at the first key: from here on, what it passes is its to report.</summary>
    internal void BeginSweep() => NextExpiryMs = long.MaxValue;

    /// <summary>A live key with this deadline is there.</summary>
    internal void NoteDeadline(long expiresAtMs)
    {
        if (expiresAtMs != 0 && expiresAtMs < NextExpiryMs)
            NextExpiryMs = expiresAtMs;
    }

    private void Remove(long expiresAtMs)
    {
        _keys--;
        if (expiresAtMs == 0)
            return;
        _expiring--;
        _deadlineSum -= expiresAtMs;
    }

    /// <summary>Counts up to so many keys; false, and numbers of those only, when there are more.</summary>
    private bool TryCountAll(Execution execution, long nowMs, long keysMax)
    {
        // A disk that fails under it leaves a number of some of the keys only.
        _known = false;
        _keys = _expiring = 0;
        _deadlineSum = 0;
        _earliestDeadlineMs = long.MaxValue;
        _countedAtMs = nowMs;
        _looksLeft = 0;
        using EngineScan scan = execution.CreateScan(
            _replica, new IteratorOptions { KeysOnly = true, IncludeExpired = true, BypassCache = true });
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
        {
            long expiresAtMs = scan.ExpiresAtMs;
            if (expiresAtMs != 0 && expiresAtMs <= nowMs)
                continue;
            if (_keys == keysMax)
                return false;
            _keys++;
            if (expiresAtMs == 0)
                continue;
            _expiring++;
            _deadlineSum += expiresAtMs;
            _earliestDeadlineMs = Math.Min(_earliestDeadlineMs, expiresAtMs);
        }

        return _known = true;
    }

    private KeyNumbers Numbers(long nowMs)
    {
        long average = _expiring <= 0 ? 0 : (long)Int128.Max((_deadlineSum / _expiring) - nowMs, 0);
        return new KeyNumbers(Math.Max(_keys, 0), Math.Max(_expiring, 0), average);
    }
}
