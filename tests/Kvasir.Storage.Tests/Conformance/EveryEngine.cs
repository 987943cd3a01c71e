using System.Reflection;
using Kvasir.Storage.Store;
using Xunit.Sdk;

namespace Kvasir.Storage.Tests.Conformance;

public enum DiskKind
{
    /// <summary>Imagined, in memory.</summary>
    Simulated,

    /// <summary>The machine's, in a temporary folder.</summary>
    Real,
}

/// <summary>Runs a theory for every engine on both disks: its parameters are the engine's name and the disk.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class EveryEngineAttribute : DataAttribute
{
    /// <summary>Only this disk: for what needs one that can lose or fail.</summary>
    public DiskKind[] Disks { get; init; } = [DiskKind.Simulated, DiskKind.Real];

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
        from engine in EngineUnderTest.All
        from disk in Disks
        select new object[] { engine.Name, disk };
}

/// <summary>As <see cref="EveryEngineAttribute"/>, and for every durability of an embedded store: the third parameter.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class EveryEngineAndDurabilityAttribute : DataAttribute
{
    public DiskKind[] Disks { get; init; } = [DiskKind.Simulated, DiskKind.Real];

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
        from engine in EngineUnderTest.All
        from disk in Disks
        from durability in Enum.GetValues<WriteDurability>()
        select new object[] { engine.Name, disk, durability };
}
