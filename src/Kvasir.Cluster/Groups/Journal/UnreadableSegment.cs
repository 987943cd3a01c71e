namespace Kvasir.Cluster.Groups.Journal;

/// <summary>A segment of the journal from which entries were wanted, and did not come as they were written.</summary>
/// <param name="Number">Of the segment.</param>
/// <param name="End">What lies before this place is to go.</param>
/// <param name="Reason">What the disk, or the checksum, said.</param>
internal readonly record struct UnreadableSegment(ulong Number, ulong End, string Reason);
