using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Replicas that move to another engine: every one whose engine is not what the directory wants of its keyspace, a few at a time, whatever
/// its role (docs/decisions/0011-replicas-convert-by-themselves.md). Inside the mailbox.
/// </summary>
public sealed partial class ClusterNode
{
    private const int ConversionsAtOnceMax = 2;

    // Whatever was in the way may be gone by then.
    private static readonly TimeSpan s_conversionPause = TimeSpan.FromSeconds(5);

    private readonly SortedList<GroupId, ReplicaConversion> _conversions = [];

    // How the last one of a replica ended that is still here, and before when it is not tried again.
    private readonly SortedList<GroupId, EndedConversion> _ended = [];
    private readonly List<MoveReport> _moves = [];
    private readonly MoveReports _moveReports = new();

    private void LookAfterConversions()
    {
        EndConversions();
        ReckonLimits();
        if (_host!.Refusal is not null || !IsViewFresh())
            return;
        int underWay = _conversions.Values.Count(static c => !c.Conversion.Status.IsEnded);
        foreach (RaftGroup group in _host.Groups)
        {
            if (underWay == ConversionsAtOnceMax)
                return;
            if (IsDueToMove(group) && KeyspaceOf(group.Id) is { } keyspace && TryConvert(group, keyspace))
                underWay++;
        }
    }

    private bool IsDueToMove(RaftGroup group)
    {
        if (group == _directory || group.IsOut || group.Damage is not null || _conversions.ContainsKey(group.Id)
            || KeyspaceOf(group.Id) is not { } keyspace || keyspace.EngineWanted == group.Replica.Options.Engine
            || _snapshots!.IsReplacing(group) || View.Group(group.Id)?.IsReplica(Self) != true)
            return false;
        return !_ended.TryGetValue(group.Id, out EndedConversion? ended) || ended.Number != NumberOf(keyspace)
            || (!ended.Status.IsHopeless && _host!.Now() >= ended.Until);
    }

    private bool TryConvert(RaftGroup group, KeyspaceRecord keyspace)
    {
        string to = keyspace.EngineWanted;
        try
        {
            var site = new ReplicaSite(this, group, to, _folders.Reserve(group.Id));
            ConversionStatus status = new() { Keyspace = keyspace.Name, From = group.Replica.Options.Engine, To = to, Stage = ConversionStage.Preparing };
            var conversion = new EngineConversion(
                site, status, _options.ConversionBytesPerSecond / ConversionsAtOnceMax, _identity.Id ^ group.Id.Value, previous: null);
            _conversions.Add(group.Id, new ReplicaConversion(group, site, conversion, to, NumberOf(keyspace)));
            _ended.Remove(group.Id);
            conversion.Start();
            return true;
        }
        catch (StorageException e)
        {
            ConversionStatus failed = new()
            {
                Keyspace = keyspace.Name, From = group.Replica.Options.Engine, To = to, Stage = ConversionStage.Failed, Reason = e.Message,
            };
            _ended[group.Id] = new EndedConversion(failed, NumberOf(keyspace), _host!.Now() + s_conversionPause);
            return false;
        }
    }

    private void EndConversions()
    {
        for (int i = _conversions.Count - 1; i >= 0; i--)
        {
            ReplicaConversion moving = _conversions.Values[i];
            ConversionStatus status = moving.Conversion.Status;
            moving.Site.Look();
            if (!status.IsEnded)
            {
                if (KeyspaceOf(moving.Group.Id) is { } keyspace && keyspace.EngineWanted != moving.To)
                    moving.Conversion.TryAbort();
                continue;
            }

            NoteEnd(moving, status);
            if (!moving.Conversion.IsRetiring)
                _conversions.RemoveAt(i);
        }
    }

    private void NoteEnd(ReplicaConversion moving, ConversionStatus status)
    {
        if (_ended.ContainsKey(moving.Group.Id))
            return;
        TimeSpan pause = status.Stage == ConversionStage.Failed ? s_conversionPause : TimeSpan.Zero;
        _ended[moving.Group.Id] = new EndedConversion(status, moving.Number, _host!.Now() + pause);
        if (status.Stage == ConversionStage.Failed)
            Warn($"shard {moving.Group.Id} could not be moved to the engine {moving.To}: {status.Reason}");
    }

    /// <summary>
    /// From the moment that the directory says that copies may have another engine, whoever leads takes only what all of them can, so
    /// that nothing gets into the log that is not for everybody.
    /// </summary>
    private void ReckonLimits()
    {
        foreach (RaftGroup group in _host!.Groups)
        {
            if (group == _directory)
                continue;
            SharedLimits? shared = KeyspaceOf(group.Id) is { Move: { IsUnderWay: true } move } ? LimitsOf(group.Replica, move) : null;
            if (shared != group.Replica.Shared)
                group.Replica.Shared = shared;
        }
    }

    /// <summary>Of both, whichever the replica has now: it may have the other one in a moment.</summary>
    private SharedLimits? LimitsOf(Replica replica, KeyspaceMove move)
    {
        EngineLimits from = LimitsOf(move.From), to = LimitsOf(move.To);
        if (from == EngineLimits.None && to == EngineLimits.None)
            return null;

        // Roughly: engines take what is in the log, though it is more than they should hold.
        long keysMax = Math.Min(from.KeysMax, to.KeysMax);
        long keysLeft = keysMax == long.MaxValue ? long.MaxValue : Math.Max(0, keysMax - replica.Engine.GetStatistics().EstimatedKeys);
        return new SharedLimits(
            Math.Min(from.KeyBytesMax, to.KeyBytesMax), from.KeyBytesMax < to.KeyBytesMax ? move.From : move.To,
            Math.Min(from.ValueBytesMax, to.ValueBytesMax), from.ValueBytesMax < to.ValueBytesMax ? move.From : move.To,
            keysLeft, from.KeysMax < to.KeysMax ? move.From : move.To);
    }

    private EngineLimits LimitsOf(string engine) =>
        _environment.Engines.FirstOrDefault(e => e.Name == engine)?.LimitsIn(_memory) ?? EngineLimits.None;

    private KeyspaceRecord? KeyspaceOf(GroupId group) =>
        View.Group(group) is { } record ? View.Keyspace(record.Keyspace)?.Record : null;

    private static ulong NumberOf(KeyspaceRecord keyspace) => keyspace.Move?.Number ?? 0;

    /// <summary>A conversion needs the log from here on; the end of time where none does.</summary>
    private LogIndex NeededByConversion(RaftGroup group) =>
        _conversions.TryGetValue(group.Id, out ReplicaConversion? moving) && moving.Conversion.NeededFrom is { } from
            ? new LogIndex(from.Value)
            : LogIndex.Max;

    /// <summary>The engine that is being filled, and what it has in memory; null where there is none.</summary>
    private IStorageEngine? TargetOf(RaftGroup group, out long memTableBytes)
    {
        memTableBytes = 0;
        try
        {
            IStorageEngine? target = _conversions.TryGetValue(group.Id, out ReplicaConversion? moving) ? moving.Conversion.Target : null;
            memTableBytes = target?.GetStatistics().MemTableBytes ?? 0;
            return target;
        }
        catch (ObjectDisposedException)
        {
            // It is just being withdrawn.
            return null;
        }
    }

    private void FlushTarget(RaftGroup group)
    {
        try
        {
            TargetOf(group, out _)?.Flush();
        }
        catch (ObjectDisposedException)
        {
        }
    }

    /// <summary>
    /// Something else becomes of the replica. Returns when nothing of the conversion runs; throws where the disk does not say which of
    /// the engines a start would find.
    /// </summary>
    private void StopConversion(RaftGroup group)
    {
        if (!_conversions.TryGetValue(group.Id, out ReplicaConversion? moving))
            return;
        moving.Conversion.Stop();
        _conversions.Remove(group.Id);
        moving.Site.Abandon();
    }

    /// <summary>As <see cref="StopConversion"/>, where a start does not care which of them it finds.</summary>
    private void TryStopConversion(RaftGroup group)
    {
        try
        {
            StopConversion(group);
        }
        catch (StorageException)
        {
        }
    }

    /// <summary>The files are about to be closed: what was made goes at the next start.</summary>
    private void StopConversions()
    {
        foreach (ReplicaConversion moving in _conversions.Values)
            moving.Conversion.Stop();
        _conversions.Clear();
    }

    private void ReportMoves()
    {
        _moves.Clear();
        foreach (RaftGroup group in _host!.Groups)
        {
            if (group != _directory && KeyspaceOf(group.Id) is { Move: { IsUnderWay: true } move })
                _moves.Add(ReportOf(group, move));
        }

        if (_moves.Count == 0 || _directory!.Leader.IsNone)
            return;
        if (_directory.IsServing)
        {
            TakeNoteOfMoves(Self, [.. _moves]);
            return;
        }

        _reportBytes.Clear();
        _reportBytes.Append(Channel.Calls);
        DirectoryCallCodec.Write(_reportBytes, _moves);
        Transport.Send(_directory.Leader, MessageBuffer.Copy(_reportBytes.WrittenSpan));
    }

    private MoveReport ReportOf(RaftGroup group, KeyspaceMove move)
    {
        ConversionStatus? status = null;
        if (_conversions.TryGetValue(group.Id, out ReplicaConversion? moving) && moving.Number == move.Number)
            status = moving.Conversion.Status;
        else if (_ended.TryGetValue(group.Id, out EndedConversion? ended) && ended.Number == move.Number)
            status = ended.Status;

        // Of a copy that was converted before the node's start, or was made in this engine, nobody has counted what was copied.
        long rows = status?.Rows ?? (group.Replica.Options.Engine == move.Wanted ? group.Replica.Engine.GetStatistics().EstimatedKeys : 0);
        var report = new MoveReport
        {
            Group = group.Id,
            Generation = group.Member.Id.Generation,
            Number = move.Number,
            Engine = group.Replica.Options.Engine,
            Stage = status?.Stage,
            IsHopeless = (group.HasMisfit && group.Replica.Options.Engine == move.Wanted) || status is { IsHopeless: true, Stage: ConversionStage.Failed },
            Rows = rows,
            Bytes = status?.Bytes ?? 0,
            RowsEstimated = status?.RowsEstimated ?? rows,
            RowsCompared = status?.RowsCompared ?? 0,
            LogBytesBehind = Math.Max(0, status?.LogBytesBehind ?? 0),
        };
        return report with { Text = group.StopReason ?? (group.HasMisfit ? group.ApplyFailure : null) ?? status?.Reason ?? status?.Checksum ?? "" };
    }

    private void TakeNoteOfMoves(NodeId node, IReadOnlyList<MoveReport> reports)
    {
        if (_host is { } host && _directory is { IsServing: true })
            _moveReports.Tell(node, reports, host.Now());
    }

    /// <summary>By the directory's leader.</summary>
    private void SettleMoves(Execution execution)
    {
        _moveReports.Forget(_host!.Now());
        if (View.Keyspaces.Any(static k => k.Record.IsMoving))
            _desk!.Ask(execution, view => DirectoryOperations.SettleMoves(view, _moveReports, NowMs), static (_, _) => { });
    }

    private long NowMs => Time.GetUtcNow().ToUnixTimeMilliseconds();

    private sealed record ReplicaConversion(RaftGroup Group, ReplicaSite Site, EngineConversion Conversion, string To, ulong Number);

    private sealed record EndedConversion(ConversionStatus Status, ulong Number, TimeSpan Until);
}
