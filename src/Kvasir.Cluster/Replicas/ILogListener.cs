using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// Hears when replies may leave. Called from whichever thread made the log durable: be brief, wake others, call nothing back.
/// </summary>
public interface ILogListener
{
    void Durable(LogPosition position);

    /// <summary>
    /// Records after <paramref name="durable"/> did not become durable. <paramref name="definite"/>: they never will;
    /// otherwise nobody can tell before the next start. Replies that waited for them are errors now.
    /// </summary>
    void Failed(LogPosition durable, bool definite, string reason);
}
