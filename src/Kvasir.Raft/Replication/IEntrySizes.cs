using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Replication;

/// <summary>
/// How many bytes entries have; answered by the driver, which holds them. A pure function of what the driver was told:
/// asked only for entries that are in the member's log at that moment.
/// </summary>
public interface IEntrySizes
{
    /// <summary>
    /// The largest index up to <paramref name="last"/> such that the entries from <paramref name="first"/> to it have
    /// together at most <paramref name="bytesMax"/> bytes, yet at least <paramref name="first"/>; and how many they have.
    /// </summary>
    LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes);
}
