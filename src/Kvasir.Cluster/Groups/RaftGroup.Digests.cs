using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// Whether all replicas have made the same of the log. The leader writes the digest of its own state into the log now and then;
/// whoever applies that entry and has another stops for good, and the others go on.
/// </summary>
public sealed partial class RaftGroup
{
    private readonly BytesBuffer _note = new(16);
    private TimeSpan _compareAt = TimeSpan.MaxValue;
    private int _uncompared;

    /// <summary>
    /// Why this replica is stopped: it takes part in nothing, and serves nothing, until the cluster puts another in its place.
    /// Null while all is well.
    /// </summary>
    public StateDifference? Difference { get; private set; }

    /// <summary>What is wrong with the files of this replica, which stops it likewise; null while nothing is known to be.</summary>
    public string? Damage { get; private set; }

    /// <summary>Why it is stopped, whatever the reason is.</summary>
    public string? StopReason { get; private set; }

    public bool IsOut => StopReason is not null;

    /// <summary>Of what is published here.</summary>
    public StateDigest Digest => Replica.Engine.PublishedDigest;

    /// <summary>Comparisons that this replica has passed.</summary>
    public long DigestsCompared { get; private set; }

    /// <summary>It was stopped in an earlier life of the process.</summary>
    internal void StayStopped(StateDifference difference)
    {
        Difference = difference;
        Stop(difference.ToString());
    }

    /// <summary>It was stopped in an earlier life of the process, or is not fit to begin this one.</summary>
    internal void StayDamaged(string reason)
    {
        Damage = $"{reason}: this replica is stopped, and serves nothing";
        Stop(Damage);
    }

    public bool HeedsDamage => true;

    /// <summary>It stops at the end of the turn: what runs on it now runs to its end.</summary>
    public void Damaged(CorruptionException cause)
    {
        if (IsOut || Damage is not null)
            return;
        Damage = $"{cause.Message}: this replica is stopped, and serves nothing";
        _host.Touch(this);
    }

    /// <summary>A write was proposed: it is compared soon, or when there are many.</summary>
    private void WantComparison(TimeSpan now)
    {
        if (++_uncompared == 1)
            SetComparison(now + _host.Options.ComparedAfter);
    }

    private void SetComparison(TimeSpan at)
    {
        _compareAt = at;
        if (at < WakeAt)
            WakeAt = at;
    }

    /// <summary>At the head of the end of a turn, when everything proposed is published.</summary>
    private void CompareWhenDue(TimeSpan now)
    {
        bool isDue = now >= _compareAt || _uncompared >= _host.Options.ComparedEntriesMax;
        if (!isDue || !_serves || HasGap)
            return;
        IStorageEngine engine = Replica.Engine;
        StateDigest digest = engine.PublishedDigest;
        bool begins = digest.IsUnknown;
        if (begins)
        {
            digest = new StateDigest(((LastIndex.Value + 1) * 0x9E3779B97F4A7C15) | 1);
            engine.AssumeDigest(digest);
        }

        // An engine that keeps none has nothing to compare.
        bool keeps = engine.PublishedDigest == digest;
        ProposeOutcome outcome = keeps ? _member.Propose(now, 1) : default;
        if (keeps && !outcome.IsAccepted)
        {
            if (begins)
                engine.AssumeDigest(StateDigest.Unknown);
            _compareAt = now + _host.Options.ComparedAfter;
            return;
        }

        (_compareAt, _uncompared) = (TimeSpan.MaxValue, 0);
        if (!keeps)
            return;
        _note.Clear();
        EntryNotes.AppendDigest(_note, digest, begins);
        _entries.Add(outcome.First, outcome.Term, EntryKind.Normal, _note.WrittenSpan);
        Volatile.Write(ref _appended, outcome.First.Value);
    }

    /// <summary>An entry that is applied tells the leader's digest of all before it; false when this replica's is another.</summary>
    private bool Agrees(LogIndex index, StateDigest leaders, bool begins)
    {
        IStorageEngine engine = Replica.Engine;
        StateDigest own = engine.PublishedDigest;
        (_compareAt, _uncompared) = (TimeSpan.MaxValue, 0);
        if (begins || own.IsUnknown)
        {
            engine.AssumeDigest(leaders);
            return true;
        }

        if (own == leaders)
        {
            DigestsCompared++;
            return true;
        }

        Difference = new StateDifference(index, own, leaders);
        return false;
    }

    private void Stop(string reason)
    {
        StopReason = reason;
        _notServing = new WriteRefusal("CLUSTERDOWN", $"the replica of shard {Id} on this node is stopped: {reason}");
        ApplyFailure = reason;
        CeaseToLead();
        GiveUpDoubt();
        _entries.Reset(_member.LastIndex);
        WakeAt = TimeSpan.MaxValue;
        _host.ReplicaStopped?.Invoke(this);
        _host.LeaderChanged(this);
    }
}
