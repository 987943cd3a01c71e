using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// Hears when replies may leave. Called from whichever thread made a log durable: be brief, wake others, call nothing back.
/// </summary>
public interface ILogListener
{
    void Durable(IReplicaLog log, LogPosition position);

    /// <summary>
    /// Records of <paramref name="log"/> after <paramref name="durable"/> did not become durable. Replies that waited for
    /// them are errors now.
    /// </summary>
    void Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason);
}

/// <summary>Why a log will not make durable what was appended, and what is known of it.</summary>
public enum LogLoss : byte
{
    /// <summary>There was no room: what was lost has not happened, and will not.</summary>
    DiskFull = 0,

    /// <summary>A write or a sync failed: nobody can tell before the next start.</summary>
    DiskFailed = 1,

    /// <summary>
    /// This node no longer leads the group: the next leader may have what was lost, or may not. Who can ask that one need not wait. For others
    /// more comes: <see cref="ILogListener.Durable"/> says what the group has committed after all, <see cref="Overruled"/> or
    /// <see cref="Unresolved"/> what it has not.
    /// </summary>
    LeadershipLost = 2,

    /// <summary>The group has committed something else in its place: what was lost has not happened, and will not.</summary>
    Overruled = 3,

    /// <summary>Nobody has said in time what became of it.</summary>
    Unresolved = 4,
}
