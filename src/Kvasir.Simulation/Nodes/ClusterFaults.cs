namespace Kvasir.Simulation.Nodes;

/// <summary>What may go wrong in a simulated cluster. Each has dice of its own, so that leaving one out leaves the others as they were.</summary>
[Flags]
public enum ClusterFaults
{
    None = 0,

    /// <summary>Messages get lost.</summary>
    Loss = 1,

    /// <summary>Messages arrive twice.</summary>
    Duplication = 2,

    /// <summary>Messages overtake each other.</summary>
    Reordering = 4,

    /// <summary>The nodes fall into two parts that cannot reach each other.</summary>
    Partitions = 8,

    /// <summary>Some links work in one direction only.</summary>
    OneWay = 16,

    /// <summary>Some links take many times as long.</summary>
    Slow = 32,

    /// <summary>Processes die, one, several or all at once: alone, or with the machine's unsynced data, which may be torn.</summary>
    Crashes = 64,

    /// <summary>Disks hang.</summary>
    Stalls = 128,

    /// <summary>Clocks run fast and slow, within the bound that leases rest on, and wall clocks are set.</summary>
    Clocks = 256,

    /// <summary>Processes stand still and do not know it.</summary>
    Pauses = 512,

    /// <summary>Leadership of shards is handed over.</summary>
    Transfers = 1024,

    /// <summary>Journals are kept so short that who was away needs a snapshot.</summary>
    Snapshots = 2048,

    /// <summary>Disks are full for a while.</summary>
    Full = 4096,

    /// <summary>Disks refuse writes and syncs for a while.</summary>
    Errors = 8192,

    /// <summary>Nodes join, are drained, leave for good, are away for long, and lose their disks, one after another.</summary>
    Membership = 16384,

    /// <summary>Files of replicas rot where they lie; after a while what is damaged is found and replaced by the cluster, or their node by its operator.</summary>
    Rot = 32768,

    /// <summary>Databases move to other engines, and some of these moves are aborted.</summary>
    Conversions = 65536,

    All = 131071,
}
