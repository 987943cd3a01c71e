using System.Numerics;

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

    /// <summary>Files of replicas rot where they lie; their node is replaced after a while.</summary>
    Rot = 32768,

    All = 65535,
}

/// <summary>Their names on a command line.</summary>
public static class ClusterFaultNames
{
    public static IReadOnlyList<ClusterFaults> Kinds { get; } =
        [.. Enum.GetValues<ClusterFaults>().Where(f => BitOperations.IsPow2((int)f))];

    public static IReadOnlyList<string> All { get; } = [.. Kinds.Select(Name)];

    public static string Format(ClusterFaults faults) => faults switch
    {
        ClusterFaults.None => "none",
        ClusterFaults.All => "all",
        _ => string.Join(',', Kinds.Where(f => faults.HasFlag(f)).Select(Name)),
    };

    /// <summary>Names with commas between; <c>all</c>, <c>none</c>; <c>-name</c> takes one away from all. Null when one is unknown.</summary>
    public static ClusterFaults? Parse(string text)
    {
        string[] words = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        ClusterFaults faults = words.Length > 0 && words[0].StartsWith('-') ? ClusterFaults.All : ClusterFaults.None;
        foreach (string word in words)
        {
            if (!Enum.TryParse(word.TrimStart('-'), ignoreCase: true, out ClusterFaults fault) || char.IsAsciiDigit(word[^1]))
                return null;
            faults = word.StartsWith('-') ? faults & ~fault : faults | fault;
        }

        return faults;
    }

    private static string Name(ClusterFaults fault) => fault.ToString().ToLowerInvariant();
}
