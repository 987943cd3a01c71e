namespace Kvasir.Server.Sessions;

/// <summary>Whether one client has more unsent than its limit allows, or has had for too long. One thread at a time.</summary>
internal sealed class OutputOverrun
{
    private long _beyondSoftLimitSinceMs;

    public bool IsBeyond(OutputLimit limit, long unsentBytes, long nowMs)
    {
        long counted = unsentBytes - ConnectionLimits.UncountedOutput;
        if (limit.HardBytes > 0 && counted > limit.HardBytes)
            return true;
        if (limit.SoftBytes == 0 || counted <= limit.SoftBytes)
        {
            _beyondSoftLimitSinceMs = 0;
            return false;
        }

        if (_beyondSoftLimitSinceMs == 0)
            _beyondSoftLimitSinceMs = nowMs;
        return nowMs - _beyondSoftLimitSinceMs > limit.SoftMs;
    }
}
