namespace Kvasir.Simulation.Clusters;

/// <summary>What goes wrong in a simulated Raft group. Each has chances of its own, so that leaving one out leaves the others as they were.</summary>
[Flags]
public enum RaftFaults
{
    None = 0,

    /// <summary>Messages get lost.</summary>
    Loss = 1,

    /// <summary>Messages arrive twice.</summary>
    Duplication = 2,

    /// <summary>Messages overtake each other.</summary>
    Reordering = 4,

    /// <summary>The members fall into two parts that cannot reach each other.</summary>
    Partitions = 8,

    /// <summary>Some links work in one direction only.</summary>
    OneWay = 16,

    /// <summary>Some links take many times as long.</summary>
    Slow = 32,

    /// <summary>Processes die, one, several or all at once, and lose what was not synced.</summary>
    Crashes = 64,

    /// <summary>Disks hang.</summary>
    Stalls = 128,

    /// <summary>Clocks run fast and slow, within the bound that leases rest on, and wall clocks are set.</summary>
    Clocks = 256,

    /// <summary>Processes stand still and do not know it.</summary>
    Pauses = 512,

    /// <summary>Members come and go, by way of learners and joint configurations.</summary>
    Members = 1024,

    /// <summary>Leadership is handed over.</summary>
    Transfers = 2048,

    /// <summary>Logs are cut short, so that who was away needs a snapshot.</summary>
    Snapshots = 4096,

    All = 8191,
}
