namespace Kvasir.Simulation.Disks;

/// <summary>Says which operations of a simulated disk fail, and how. The first rule that matches decides.</summary>
/// <param name="Fault">What happens.</param>
/// <param name="Kind">Only operations of this kind; null for all.</param>
/// <param name="PathContains">Only paths that contain this; null for all.</param>
public sealed record FaultRule(DiskFault Fault, DiskOperationKind? Kind = null, string? PathContains = null)
{
    private int _skip;
    private int _times = int.MaxValue;

    /// <summary>Lets this many matching operations pass first.</summary>
    public int Skip { get => _skip; init => _skip = value; }

    /// <summary>Then makes this many fail.</summary>
    public int Times { get => _times; init => _times = value; }

    internal bool Applies(in DiskOperation operation)
    {
        if ((Kind is { } kind && kind != operation.Kind)
            || (PathContains is not null && !operation.Path.Contains(PathContains, StringComparison.Ordinal)))
            return false;
        if (_skip > 0)
        {
            _skip--;
            return false;
        }

        if (_times == 0)
            return false;
        _times--;
        return true;
    }
}
