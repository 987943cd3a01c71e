using Kvasir.Raft.Numbers;

namespace Kvasir.Raft;

/// <summary>
/// The passing of leadership to one follower (thesis, 3.10). While it lasts the leader takes no proposals and has no lease, and
/// its heartbeats say so. When it is given up after an election timeout, the lease is counted only from heartbeats sent
/// afterwards: whoever answered one of them no longer honours a vote asked for on this hand-over's behalf.
/// </summary>
internal struct Handover
{
    public MemberId To { get; private set; }

    public TimeSpan Deadline { get; private set; }

    /// <summary>Heartbeats sent up to this moment renew no lease.</summary>
    public TimeSpan LeaseFloor { get; private set; }

    public readonly bool IsUnderWay => !To.IsNone;

    public Handover() => LeaseFloor = TimeSpan.MinValue;

    public void Begin(MemberId to, TimeSpan deadline) => (To, Deadline) = (to, deadline);

    public void GiveUp(TimeSpan now) => (To, LeaseFloor) = (MemberId.None, now);
}
