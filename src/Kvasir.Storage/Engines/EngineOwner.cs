namespace Kvasir.Storage.Engines;

/// <summary>
/// Whose data an engine's folder holds: written into its files when it is first opened on behalf of an owner, and compared ever after, so
/// that a folder that was put in the place of another is refused and not served as the other.
/// </summary>
/// <param name="Store">Number of the node or store; 0 for nobody.</param>
/// <param name="Part">Which of its engines.</param>
public readonly record struct EngineOwner(ulong Store, ulong Part)
{
    public bool IsNone => this == default;

    public override string ToString() => $"part {Part} of {Store:x16}";
}
