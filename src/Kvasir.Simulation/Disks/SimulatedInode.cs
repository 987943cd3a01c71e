using Kvasir.Primitives;

namespace Kvasir.Simulation.Disks;

/// <summary>
/// A file apart from its names: what programs see (<see cref="Current"/>), what is on stable storage
/// (<see cref="Durable"/>), and the changes between them that no sync has covered, oldest first.
/// </summary>
internal sealed class SimulatedInode
{
    private const int SectorBytes = 512;

    private readonly List<UnsyncedChange> _unsynced;
    private readonly List<SimulatedFileMap> _maps = [];

    public SimulatedInode() : this(new DiskImage(), new DiskImage(), []) { }

    private SimulatedInode(DiskImage current, DiskImage durable, List<UnsyncedChange> unsynced)
    {
        Current = current;
        Durable = durable;
        _unsynced = unsynced;
    }

    public DiskImage Current { get; }

    public DiskImage Durable { get; }

    public void Write(ReadOnlySpan<byte> source, long offset)
    {
        long before = Math.Min(Current.Length, offset);
        Current.Write(source, offset);
        Show(before, offset + source.Length - before);
        _unsynced.Add(new UnsyncedChange(source.ToArray(), offset));
    }

    public void SetLength(long length)
    {
        long before = Current.Length;
        Current.SetLength(length);
        Show(Math.Min(before, length), Math.Abs(before - length));
        _unsynced.Add(new UnsyncedChange(Bytes: null, length));
    }

    public void Sync()
    {
        foreach (UnsyncedChange change in _unsynced)
            change.ApplyTo(Durable);
        _unsynced.Clear();
    }

    /// <summary>
    /// A sync that reports failure. By the seed, the dirty pages stay dirty, or each is marked clean whether or not it
    /// was written: programs still see the new bytes, the disk may never.
    /// </summary>
    public void FailSync(SeededRandom random)
    {
        if (random.OneIn(2))
            return;
        foreach (UnsyncedChange change in _unsynced)
        {
            if (random.OneIn(2))
                change.ApplyTo(Durable);
        }

        _unsynced.Clear();
    }

    public void FlipBit(long offset, int bit)
    {
        Span<byte> one = stackalloc byte[1];
        foreach (DiskImage image in new[] { Current, Durable })
        {
            if (image.Read(one, offset) != 1)
                continue;
            one[0] ^= (byte)(1 << bit);
            image.Write(one, offset);
        }

        Show(offset, 1);
    }

    /// <summary>A page of the file cannot be read through its maps any more.</summary>
    public void FailMaps(long offset, int length)
    {
        foreach (SimulatedFileMap map in _maps)
            map.Fail(offset, length);
    }

    /// <summary>Memory that shows what programs see of the file, now and later.</summary>
    public SimulatedFileMap Map(long length)
    {
        var map = new SimulatedFileMap(length);
        _maps.RemoveAll(other => other.IsDisposed);
        _maps.Add(map);
        map.Show(Current, 0, Current.Length);
        return map;
    }

    public SimulatedInode Clone() => new(Current.Clone(), Durable.Clone(), [.. _unsynced]);

    /// <summary>What a restarted machine finds.</summary>
    public SimulatedInode AfterPowerLoss(SeededRandom random, CrashKind kind)
    {
        DiskImage left = Durable.Clone();
        if (kind != CrashKind.LoseUnsynced)
        {
            foreach (UnsyncedChange change in _unsynced)
            {
                if (random.OneIn(2))
                    continue;
                if (change.Bytes is null || kind == CrashKind.LoseSubset)
                    change.ApplyTo(left);
                else if (kind == CrashKind.TearSectors)
                    ApplySectors(left, change.Bytes, change.Offset, random);
                else
                    left.Write(change.Bytes.AsSpan(0, random.Next(change.Bytes.Length + 1)), change.Offset);
            }
        }

        return new SimulatedInode(left, left.Clone(), []);
    }

    private void Show(long offset, long length)
    {
        foreach (SimulatedFileMap map in _maps)
            map.Show(Current, offset, length);
    }

    private static void ApplySectors(DiskImage image, byte[] bytes, long offset, SeededRandom random)
    {
        // A long write tears at few places, or the chance that a test meets one torn exactly once would be nil.
        int odds = random.Next(2, 9);
        int at = 0;
        while (at < bytes.Length)
        {
            int chunk = (int)Math.Min(SectorBytes - ((offset + at) % SectorBytes), bytes.Length - at);
            if (!random.OneIn(odds))
                image.Write(bytes.AsSpan(at, chunk), offset + at);
            at += chunk;
        }
    }

    /// <summary>Bytes at an offset, or (null bytes) a new length.</summary>
    private readonly record struct UnsyncedChange(byte[]? Bytes, long Offset)
    {
        public void ApplyTo(DiskImage image)
        {
            if (Bytes is null)
                image.SetLength(Offset);
            else
                image.Write(Bytes, Offset);
        }
    }
}
