namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Sequence numbers cut into stripes by the snapshots in use: two versions of a key in one stripe are seen by the same
/// snapshots, so the older one is seen by none. Stripe zero is seen by all; what is newer than every snapshot is in no
/// stripe that may be thinned.
/// </summary>
internal readonly struct SnapshotStripes
{
    private readonly ulong[] _snapshots;

    /// <param name="snapshots">Ascending.</param>
    public SnapshotStripes(ulong[] snapshots) => _snapshots = snapshots;

    public int Open => _snapshots.Length;

    public ulong Oldest => _snapshots.Length == 0 ? 0 : _snapshots[0];

    /// <summary>Index of the oldest snapshot that sees <paramref name="sequence"/>; <see cref="Open"/> for none.</summary>
    public int Of(ulong sequence)
    {
        ulong[] snapshots = _snapshots;
        int i = 0;
        if (snapshots.Length <= 8)
        {
            while (i < snapshots.Length && snapshots[i] < sequence)
                i++;
            return i;
        }

        i = Array.BinarySearch(snapshots, sequence);
        return i < 0 ? ~i : i;
    }
}
