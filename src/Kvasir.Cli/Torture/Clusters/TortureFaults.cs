using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What a nemesis may do.</summary>
[Flags]
internal enum TortureFaults
{
    None = 0,

    /// <summary>SIGKILL of the node that leads most.</summary>
    Leader = 1,

    /// <summary>SIGKILL of any.</summary>
    Kill = 2,

    /// <summary>SIGSTOP, and after a while SIGCONT.</summary>
    Pause = 4,

    /// <summary>SIGTERM, and a start again.</summary>
    Restart = 8,

    /// <summary>Links between nodes are cut: of one node, of one pair, or one direction; silently, with loss, or by resets.</summary>
    Links = 16,

    /// <summary>SIGKILL of all nodes at one moment.</summary>
    Power = 32,

    /// <summary>The disk of one node is full for a while.</summary>
    Disk = 64,

    /// <summary>All nodes are stopped and started, one after another, twice.</summary>
    Roll = 128,

    /// <summary>SIGKILL of the node that leads most while it brings up another by snapshots.</summary>
    Snapshot = 256,

    /// <summary>A node loses its folder and comes back as a new one; SIGKILL of the node that leads most while the groups change their members.</summary>
    Members = 512,

    All = Leader | Kill | Pause | Restart | Links | Power | Disk | Roll | Snapshot | Members,
}

internal static class TortureFaultWords
{
    public const string Known = "kill, leader, power, pause, restart, links, disk, roll, snapshot, members";

    public static TortureFaults Parse(string list)
    {
        TortureFaults faults = TortureFaults.None;
        foreach (string word in list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            faults |= word switch
            {
                "all" => TortureFaults.All,
                "none" => TortureFaults.None,
                "kill" => TortureFaults.Leader | TortureFaults.Kill,
                "leader" => TortureFaults.Leader,
                "power" => TortureFaults.Power,
                "pause" => TortureFaults.Pause,
                "restart" => TortureFaults.Restart,
                "links" => TortureFaults.Links,
                "disk" => TortureFaults.Disk,
                "roll" => TortureFaults.Roll,
                "snapshot" => TortureFaults.Snapshot,
                "members" => TortureFaults.Members,
                _ => throw new UsageException($"--faults knows {Known}, all and none, not '{word}'"),
            };
        }

        return faults;
    }

    /// <summary>As a person would give them.</summary>
    public static string Text(TortureFaults faults) => faults switch
    {
        TortureFaults.All => "all",
        TortureFaults.None => "none",
        _ => string.Join(',', Kinds(faults).Select(static f => f.ToString().ToLowerInvariant())),
    };

    /// <summary>One by one.</summary>
    public static IEnumerable<TortureFaults> Kinds(TortureFaults faults) =>
        Enum.GetValues<TortureFaults>().Where(f => f is not (TortureFaults.None or TortureFaults.All) && faults.HasFlag(f));
}
