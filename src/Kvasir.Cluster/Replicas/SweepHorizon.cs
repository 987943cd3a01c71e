namespace Kvasir.Cluster.Replicas;

/// <summary>How long engines leave what has expired to the sweep that deletes it and tells of it.</summary>
internal static class SweepHorizon
{
    /// <summary>More than one walk over the largest database takes, also where the sweep cannot run for a while.</summary>
    private const long PatienceMs = 24 * 3600 * 1000;

    /// <summary>What had expired by then, engines may drop by themselves. Any thread.</summary>
    public static long At(long nowMs, INodeLog log) => log.Refusal is null ? nowMs - PatienceMs : nowMs;
}
