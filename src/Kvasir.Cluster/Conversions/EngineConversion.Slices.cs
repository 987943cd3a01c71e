using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Conversions;

/// <content>The work itself, slice by slice.</content>
internal sealed partial class EngineConversion
{
    private const int PollsPerFlush = 20;

    // Of the log, together to the target.
    private const int TogetherMax = 64;
    private const int TogetherBytes = 32 << 10;

    // So much faster than its writers the target is to be.
    private const double GainWanted = 1.5;
    private const long PaceMin = 64 << 10;

    private static readonly TimeSpan s_window = TimeSpan.FromMilliseconds(500);

    private readonly BytesBuffer _gathered = new(TogetherBytes);
    private readonly List<LoggedBatch> _batches = new(TogetherMax);
    private int _flushPolls;

    // The next turn in the mailbox is for the feed.
    private bool _fetches;
    private long _measuredAt;
    private long _measuredTaken;
    private long _measuredAppended;

    private IStorageEngine Filled => _target!;

    private NextStep Slice() => _stage switch
    {
        ConversionStage.Preparing => Prepare(),
        ConversionStage.Copying => Copy(),
        ConversionStage.CatchingUp => CatchUp(),
        ConversionStage.Comparing => Compare(),
        ConversionStage.Withdrawing => Withdraw(),
        ConversionStage.Done => Retire(),
        _ => throw new InvalidOperationException($"no slice in stage {_stage}"),
    };

    private NextStep InMailbox()
    {
        if (_stage == ConversionStage.Withdrawing)
        {
            _site.Withdraw();
            _isWithdrawn = true;
            return NextStep.Slice;
        }

        if (_fetches)
        {
            _fetches = false;
            _feed!.Fetch();
            return NextStep.Slice;
        }

        if (!_site.TrySeal(out LogPosition position))
            return After(s_poll);
        _flushAsked = null;
        switch (_stage)
        {
            case ConversionStage.Preparing:
                BeginCopy(position);
                break;
            case ConversionStage.CatchingUp:
                if (!TakeAll())
                    break;
                if (_status.Checksum is null)
                    BeginCompare();
                else
                    Switch();
                break;
            default:
                throw new InvalidOperationException($"nothing to do in the mailbox in stage {_stage}");
        }

        return NextStep.Slice;
    }

    /// <summary>What the log has next, only the mailbox can read.</summary>
    private NextStep Fetch()
    {
        _fetches = true;
        return NextStep.Mailbox;
    }

    private NextStep Prepare()
    {
        if (_previous is { IsRetiring: true })
            return After(s_poll);
        Volatile.Write(ref _previous, null);
        if (_target is null)
        {
            _status = _status with { RowsEstimated = _site.Source.GetStatistics().EstimatedKeys };
            _mayHaveMadeTarget = true;
            Volatile.Write(ref _target, _site.OpenTarget());
        }

        return AreFlushed() ? NextStep.Mailbox : After(s_poll);
    }

    private void BeginCopy(LogPosition sealedAt)
    {
        _sealedAt = sealedAt;
        Volatile.Write(ref _keptFrom, Math.Max(sealedAt.Value, 1));
        _feed = _site.BeginFeed(sealedAt);

        // What the scan shows is durable, and so never taken back; what has expired goes along, because somebody may still have to
        // be told.
        _sourceRows = ScanSource();
        _sourceDigest = _site.SealedDigest;
        Filled.MarkStable(sealedAt);
        RestartPace();
        Tell(ConversionStage.Copying);
    }

    private EngineScan ScanSource()
    {
        EngineScan? rows = null;
        try
        {
            rows = _site.Source.CreateScan(new IteratorOptions { View = _site.SourceView, IncludeExpired = true, BypassCache = true });
            rows.SeekToFirst();
            return rows;
        }
        catch (StorageException e)
        {
            rows?.Dispose();
            if (e is CorruptionException damage)
                _site.SourceDamaged(damage);
            throw;
        }
    }

    private NextStep Copy()
    {
        if (Delay(SliceBytes) is { } delay)
            return After(delay);
        int count = GatherRows(_sourceRows!, out long bytes);
        RefuseTooManyKeys(count);
        bool isLast = !_sourceRows!.Valid;

        // The last publication is at the position of the snapshot, of no rows, too: by an operation that does nothing. Then what
        // the files hold is known to reach it. Those before only order the pieces.
        if (isLast && count == 0 && _sealedAt > LogPosition.Zero)
            _batch.DeleteRange([0], [0]);
        Filled.Stage(_batch.Bytes);

        // It came another way than from the log: what a comparison of states expects of it is what the source had there.
        if (isLast && _sealedAt > LogPosition.Zero)
            Filled.AssumeDigest(_sourceDigest);
        if (isLast)
            Filled.Publish(_sealedAt);
        else if (_loaded + 1 < _sealedAt.Value)
            Filled.Publish(new LogPosition(++_loaded));
        _pacedBytes += bytes;
        _site.Meter.Copied(count, bytes);
        _status = _status with
        {
            Rows = _status.Rows + count,
            Bytes = _status.Bytes + bytes,
            LogBytesBehind = _feed!.BytesBehind,
            Elapsed = _scheduler.Time.GetElapsedTime(_beganAt),
        };
        if (!isLast)
            return NextStep.Slice;
        CloseScans();
        Tell(ConversionStage.CatchingUp);
        return NextStep.Slice;
    }

    private int GatherRows(EngineScan rows, out long bytes)
    {
        _batch.Clear();
        bytes = 0;
        int count = 0;
        try
        {
            for (; rows.Valid && bytes < SliceBytes; rows.Next(), count++)
            {
                ReadOnlySpan<byte> key = rows.Key;
                ReadOnlySpan<byte> value = rows.Value;
                RefuseMisfit(Misfit.Of(key, value, Filled, _status.To));
                _batch.Put(key, value, rows.ExpiresAtMs);
                bytes += key.Length + value.Length;
            }
        }
        catch (CorruptionException e)
        {
            _site.SourceDamaged(e);
            throw;
        }

        return count;
    }

    private NextStep CatchUp()
    {
        KeepAhead();
        if (TargetDelay(SliceBytes) is { } delay)
            return After(delay);
        if (!TakeSlice())
            return NextStep.Slice;
        if (_feed!.WantsFetch)
            return Fetch();

        // Behind what is durable: of a keyspace whose writers do not wait for it, that may be far behind what they have written.
        if (_feed.BytesBehind > _turnBytesMax)
            _site.RequestDurable();
        return AreFlushed() ? NextStep.Mailbox : After(s_poll);
    }

    /// <summary>Where writers are faster than what follows them, it would never come to an end: they are held to a part of its pace.</summary>
    private void KeepAhead()
    {
        long now = _scheduler.Time.GetTimestamp();
        TimeSpan passed = _scheduler.Time.GetElapsedTime(_measuredAt, now);
        if (passed < s_window)
            return;
        long taken = _feed!.BytesRead;
        long appended = taken + _feed.BytesBehind;
        double tookPerSecond = (taken - _measuredTaken) / passed.TotalSeconds;
        bool isMeasured = passed < 4 * s_window;
        bool gains = taken - _measuredTaken >= (appended - _measuredAppended) * GainWanted;
        (_measuredAt, _measuredTaken, _measuredAppended) = (now, taken, appended);
        if (!isMeasured || _feed.BytesBehind <= _turnBytesMax)
            return;
        long pace = Math.Max(PaceMin, (long)(tookPerSecond / GainWanted / 2));
        if (!gains)
            _site.Pace.BytesPerSecond = pace;
        else if (_site.Pace.BytesPerSecond is > 0 and long before && before < pace)
            _site.Pace.BytesPerSecond = pace;
    }

    /// <summary>
    /// What both engines have in memory is asked into their files once before each turn in the mailbox: scans then hold next to
    /// nothing of it, and the log is not needed for it.
    /// </summary>
    private bool AreFlushed()
    {
        if (_flushAsked is null)
        {
            _flushAsked = (_site.Source.PublishedPosition, Filled.PublishedPosition);
            _flushPolls = 0;
        }

        if (((_site.LeavesFailingSources && _site.Source.BackgroundFailure is not null) || IsFlushed(_site.Source, _flushAsked.Value.OfSource))
            && IsFlushed(Filled, _flushAsked.Value.OfTarget))
            return true;

        // A flush takes what is stable when it is asked for: what became so since wants another.
        if (_flushPolls++ % PollsPerFlush == 0)
        {
            _site.RequestDurable();
            _site.Source.Flush();
            Filled.Flush();
        }

        return false;
    }

    private static bool IsFlushed(IStorageEngine engine, LogPosition upTo)
    {
        if (engine.BackgroundFailure is { } failure)
            throw new StorageException($"an engine cannot write its files: {failure.Message}", failure);
        return engine.OldestUnflushedPosition is not { } unflushed || unflushed > upTo;
    }

    private void BeginCompare()
    {
        _sourceRows = ScanSource();
        _targetRows = Filled.CreateScan(new IteratorOptions { IncludeExpired = true, BypassCache = true });

        // By now either may have dropped what has expired, whenever it liked: only what has not counts.
        _liveAfterMs = _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
        _targetRows.SeekToFirst();
        RestartPace();
        Tell(ConversionStage.Comparing);
    }

    private NextStep Compare()
    {
        if (Delay(SliceBytes) is { } delay)
            return After(delay);
        if (_sourceRows!.Valid)
            _ofSource = SumSource(_sourceRows);
        else if (_targetRows!.Valid)
            _ofTarget = Sum(_targetRows, _ofTarget);
        _status = _status with { RowsCompared = _ofSource.Rows + _ofTarget.Rows };

        // The target goes on taking what is written.
        TakeSlice();
        if (_sourceRows.Valid || _targetRows!.Valid)
            return _feed!.WantsFetch ? Fetch() : NextStep.Slice;
        CloseScans();
        _isHopeless = _ofSource != _ofTarget;
        if (_isHopeless)
            throw new CorruptionException($"the copy is not what was copied: its rows' checksum is {_ofTarget}, and that of the source's {_ofSource}");
        _status = _status with { Checksum = _ofSource.ToString() };
        Tell(ConversionStage.CatchingUp);
        return NextStep.Slice;
    }

    private RowChecksum SumSource(EngineScan rows)
    {
        try
        {
            return Sum(rows, _ofSource);
        }
        catch (CorruptionException e)
        {
            _site.SourceDamaged(e);
            throw;
        }
    }

    private RowChecksum Sum(EngineScan rows, RowChecksum sum)
    {
        long bytes = 0;
        for (; rows.Valid && bytes < SliceBytes; rows.Next())
        {
            ReadOnlySpan<byte> key = rows.Key;
            ReadOnlySpan<byte> value = rows.Value;
            bytes += key.Length + value.Length;
            long expiresAtMs = rows.ExpiresAtMs;
            if (expiresAtMs == 0 || expiresAtMs > _liveAfterMs)
                sum = sum.With(key, value, expiresAtMs, _seed);
        }

        _pacedBytes += bytes;
        return sum;
    }

    private void Switch()
    {
        // Of the replica's files it may be written down that they hold as much, and by now journal that they held may be gone.
        Check.That(Filled.FlushedPosition >= _sealedAt, $"the target's files hold {Filled.FlushedPosition} of {_sealedAt}");
        Tell(ConversionStage.Switching);
        IStorageEngine before = _site.Source;
        if (!_site.TrySwitch(Filled))
        {
            Tell(ConversionStage.CatchingUp);
            return;
        }

        // From here on the log is kept for it as for any engine.
        _before = before;
        _isForgotten = true;
        _feed!.Dispose();
        Tell(ConversionStage.Done);
    }

    /// <summary>Takes a slice of what the log has; true when there is no more for now.</summary>
    private bool TakeSlice()
    {
        long from = _feed!.BytesRead;
        bool isAll = false;
        while (!isAll && _feed.BytesRead - from < SliceBytes)
            isAll = !TakeSome();
        Volatile.Write(ref _keptFrom, Math.Max(_feed.ReadUpTo.Value, 1));
        _status = _status with { LogBytesBehind = _feed.BytesBehind, Elapsed = _scheduler.Time.GetElapsedTime(_beganAt) };
        return isAll;
    }

    /// <summary>In the mailbox: takes all that is left, unless that is too much for one turn.</summary>
    private bool TakeAll()
    {
        // What is behind is known as of the last fetch.
        _feed!.Fetch();
        if (_feed.BytesBehind > _turnBytesMax)
        {
            _turnBytesMax *= 2;
            return false;
        }

        do
        {
            while (TakeSome())
            {
            }
        }
        while (_feed.Fetch());
        return true;
    }

    /// <summary>Gives the target what some records have for it, together; false when there are no more.</summary>
    private bool TakeSome()
    {
        _gathered.ClearAndTrim(2 * SliceBytes);
        _batches.Clear();
        long from = _feed!.BytesRead;
        bool isThere = true;
        while (_batches.Count < TogetherMax && _feed.BytesRead - from < TogetherBytes && (isThere = _feed.TryNext(out ReadOnlySpan<byte> batch)))
        {
            if (batch.IsEmpty)
                continue;
            RefuseMisfit(Misfit.Of(batch, Filled, _status.To));
            _batches.Add(new LoggedBatch(_gathered.Length, batch.Length, _feed.ReadUpTo));
            _gathered.Append(batch);
        }

        if (_batches.Count > 0)
        {
            RefuseTooManyKeys(1);
            Filled.MarkStable(_feed.ReadUpTo);
            Filled.Apply(_gathered.WrittenSpan, CollectionsMarshal.AsSpan(_batches));
        }

        return isThere;
    }

    private TimeSpan? Delay(int bytes)
    {
        TimeSpan ahead = TimeSpan.FromSeconds((double)_pacedBytes / _bytesPerSecond) - _scheduler.Time.GetElapsedTime(_pacedSince);
        return ahead > s_poll ? ahead : TargetDelay(bytes);
    }

    private void RestartPace() => (_pacedBytes, _pacedSince) = (0, _scheduler.Time.GetTimestamp());

    private TimeSpan? TargetDelay(int bytes)
    {
        if (Filled.BackgroundFailure is { } failure)
            throw new StorageException($"the new engine cannot write its files: {failure.Message}", failure);
        if (Filled.SuggestWriteDelay(bytes) is not { Ticks: > 0 } delay)
            return null;

        // Nobody else knows of what it has in memory.
        if (_site.MemoryIsShort && Filled.GetStatistics().MemTableBytes >= 4 * SliceBytes)
            Filled.Flush();
        return delay;
    }

    // It would take more than it may hold, since what is in the log must be taken; who writes is asked before.
    private void RefuseTooManyKeys(int keys)
    {
        if (Filled.KeysLeft < keys)
            throw new UnfitException($"there are more keys than the engine {_status.To} may hold: {_status.Rows} were copied, and it takes {Filled.KeysLeft} more; delete some, or give more memory, and begin again");
    }

    private static void RefuseMisfit(string? misfit)
    {
        if (misfit is not null)
            throw new UnfitException("there is " + misfit);
    }
}
