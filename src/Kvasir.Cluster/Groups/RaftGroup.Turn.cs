using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups;

/// <summary>What a group does at the end of a turn: what its member asks for, and how far it has come.</summary>
public sealed partial class RaftGroup
{
    // Who lags may do so for many turns, and how large an engine is takes a look at all of its files.
    private static readonly TimeSpan s_preferencePause = TimeSpan.FromMilliseconds(200);

    private readonly byte[] _configurationBytes = new byte[64];
    private TimeSpan _prefersAt;

    /// <summary>
    /// Does what the member asks for; the host writes the journal and sends the messages, once for all groups. True when
    /// the commit has moved.
    /// </summary>
    internal bool TakeReady(TimeSpan now, Ready ready)
    {
        if (IsOut)
            return false;
        CompareWhenDue(now);
        _member.TakeReady(ready, _host.OldBytesLeft);
        if (ready.OldBytes > 0 || ready.HoldsBack)
        {
            _host.SentOld(this, ready.OldBytes, ready.HoldsBack);
            PreferSnapshots(now);
        }

        if (now >= _doubtUntil)
            GiveUpDoubt();
        if (ready.RoleChanged)
            ChangeRole(ready);
        foreach (OwnEntry own in ready.OwnEntries)
            Keep(own);
        if (!ready.Persist.IsNone)
        {
            ConfigurationEntry? configuration = ready.Persist.ResetsLog ? _member.ConfigurationAt(ready.Persist.SnapshotIndex) : null;
            _host.Journal.Add(Id, ready.Persist, _entries, configuration, ready.Persist.ResetsLog ? Replica.Engine.FlushedPosition : default);
            _host.Written(this, ready.Persist.Write);
        }

        foreach (RaftMessage message in ready.Messages)
            _host.Send(this, message);
        foreach (SnapshotWanted wanted in ready.SnapshotsWanted)
            _host.SnapshotWanted(this, wanted);
        bool moved = Apply(now);
        if ((Difference?.ToString() ?? Damage) is { } reason)
        {
            Stop(reason);
            return moved;
        }

        if (ready.Reads is { } reads)
        {
            _confirmed = reads;
            _host.ReadsConfirmed(this);
        }

        // The leader's last words came behind the news of its death: nobody is left to wake this member.
        if (_member.IsQuiesced && _member.Role != RaftRole.Leader && _host.IsAbsent(Leader))
            _member.PeerSuspected(now, _member.Leader);
        if (_member.IsQuiesced)
            Sessions.Trim();
        if (_entries.Weight > DoneBytesMax)
            ShedDone();
        _leaseEnd = _member.LeaseEnd;
        SetWake();
        return moved;
    }

    /// <summary>
    /// Who lacks more than a snapshot has gets that, where it costs little: entries are read back, sent, written to a journal, applied one
    /// by one, flushed and compacted, all of which files were already.
    /// </summary>
    private void PreferSnapshots(TimeSpan now)
    {
        if (now < _prefersAt || !_serves || _stable < _noOp || _host.Snapshots is not { } snapshots)
            return;
        foreach (MemberId id in _member.Configuration.Members)
        {
            if (!_member.TryFollower(id, out FollowerStatus follower) || follower.State != ReplicationState.Replicate || follower.IsSuspected
                || follower.NextIndex > _stable)
                continue;

            // What is on its way is there as soon as anything else could be.
            long lacks = _host.Journal.BytesFrom(Id, follower.NextIndex);
            if (lacks < _host.Options.SnapshotInsteadBytes)
                continue;
            _prefersAt = now + s_preferencePause;
            EngineStatistics engine = Replica.Engine.GetStatistics();
            if (snapshots.IsCheaper(this, id, engine.DiskBytes + engine.MemTableBytes, lacks) && _member.TryPreferSnapshot(now, id))
                _host.Touch(this);
        }
    }

    /// <summary>Whichever comes first: what the member waits for, an engine that was not willing to take more, a comparison, the end of a doubt.</summary>
    private void SetWake()
    {
        WakeAt = _applyAt > TimeSpan.MinValue && _applyAt < _member.WakeAt ? _applyAt : _member.WakeAt;
        if (_compareAt < WakeAt)
            WakeAt = _compareAt;
        if (_doubtUntil < WakeAt)
            WakeAt = _doubtUntil;
    }

    private void ChangeRole(Ready ready)
    {
        bool leads = ready.Role == RaftRole.Leader;
        if (_leadsTerm != default && (!leads || ready.Term != _leadsTerm))
            CeaseToLead();
        if (leads && _leadsTerm == default)
            (_leadsTerm, _noOp) = (ready.Term, LogIndex.Max);
        _notServing = leads ? s_notReady
            : ready.Leader.IsNone ? s_noLeader
            : _host.NotLeader(GroupMember.NodeOf(ready.Leader));
        _host.LeaderChanged(this);
    }

    /// <summary>
    /// The engine forgets what is not committed; if another leader commits it, it comes again from the log. Told before any
    /// later entry can be taken for one that was lost.
    /// </summary>
    private void CeaseToLead()
    {
        bool served = _serves;
        Term term = _leadsTerm;
        (_leadsTerm, _noOp, _serves) = (default, LogIndex.Zero, false);
        (_compareAt, _uncompared) = (TimeSpan.MaxValue, 0);
        _leaseEnd = TimeSpan.MinValue;
        if (!served)
            return;
        LogPosition safe = new(_applied.Value);
        Sessions.TruncateAfter(safe);
        Replica.Discard(safe);
        Replica.Engine.ExpectReads(false);
        var awaited = new LogIndex(_awaited);
        Volatile.Write(ref _appended, _applied.Value);
        Volatile.Write(ref _awaited, _applied.Value);
        if (awaited <= _applied)
            return;
        _host.Lost(this, safe, LogLoss.LeadershipLost);
        BeginDoubt(term, awaited);
    }

    private void Keep(in OwnEntry own)
    {
        if (own.Kind == EntryKind.NoOp && own.Term == _leadsTerm)
            _noOp = own.Index;
        if (own.Configuration is not { } configuration)
        {
            _entries.Add(own.Index, own.Term, own.Kind, []);
            return;
        }

        int length = ConfigurationCodec.Length(configuration);
        Span<byte> bytes = length <= _configurationBytes.Length ? _configurationBytes : new byte[length];
        _entries.Add(own.Index, own.Term, own.Kind, bytes[..ConfigurationCodec.Write(bytes, configuration)]);
    }

    /// <summary>Applies what is committed, as far as this turn goes; true when that moved.</summary>
    private bool Apply(TimeSpan now)
    {
        LogIndex commit = _member.CommitIndex;
        LogIndex before = _applied;
        if (before < commit && now >= _applyAt)
        {
            _applyAt = TimeSpan.MinValue;
            if (_serves && Watcher is null)
                _applied = commit;
            else
                ApplyFromLog(now, commit);
            if (_applied > before)
                _member.Applied(now, _applied);
            ResolveDoubt();
            if (!_serves && _leadsTerm != default && _applied >= _noOp)
                Serve();
        }

        Stabilise();
        if (_applied == before)
            return false;
        Volatile.Write(ref _durable, _applied.Value);
        return true;
    }

    private void Serve()
    {
        // Everything before its own first entry was looked at.
        Check.That(!HasDoubt);
        _serves = true;
        Replica.Engine.ExpectReads(true);
        if (Digest != StateDigest.Empty)
            _compareAt = _host.LastNow + _host.Options.ComparedAfter;
        Volatile.Write(ref _appended, _applied.Value);
        Volatile.Write(ref _awaited, _applied.Value);
        _host.LeaderChanged(this);
    }

    /// <summary>What is committed, applied, and durable in this node's own journal, may go into the engine's files.</summary>
    private void Stabilise()
    {
        LogIndex stable = LogIndex.Least(_applied, _member.SyncedIndex);
        if (stable <= _stable)
            return;
        _stable = stable;
        Replica.Engine.MarkStable(new LogPosition(stable.Value));
    }
}
