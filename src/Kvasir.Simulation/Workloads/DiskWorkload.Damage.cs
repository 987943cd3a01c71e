using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <content>
/// What can befall files between a clean stop and the next start. A start may refuse the folder with an error that names
/// a file, a read may refuse what it meets; nothing is ever answered that was not written, and nothing is missing without
/// a word.
/// </content>
public sealed partial class DiskWorkload
{
    private const int DamagesPerStop = 4;

    private void DamageAtRest()
    {
        if ((_options.Faults & (DiskWorkloadFaults.Flips | DiskWorkloadFaults.Files)) == 0 || _history.Count < 2)
            return;
        _checking = true;
        for (int i = 0; i < DamagesPerStop; i++)
        {
            SimulatedFileSystem disk = _disk.Clone();
            disk.Latency = null;
            if (Damage(disk) is { } damage)
                TryDamaged(disk, damage);
        }

        _checking = false;
    }

    /// <summary>Does something to one file; null when it would change nothing.</summary>
    private DamageDone? Damage(SimulatedFileSystem disk)
    {
        string[] paths = [.. disk.Paths.Where(p => p.StartsWith(Folder + "/", StringComparison.Ordinal) && !p.EndsWith("/LOCK", StringComparison.Ordinal))];
        string path = paths[_crashRandom.Next(paths.Length)];
        byte[] bytes = disk.ReadAll(path);
        if (Has(DiskWorkloadFaults.Flips) && (_crashRandom.OneIn(2) || !Has(DiskWorkloadFaults.Files)))
        {
            if (bytes.Length == 0)
                return null;
            int at = _crashRandom.Next(_crashRandom.OneIn(2) ? bytes.Length : Math.Min(bytes.Length, 4096));
            disk.FlipBit(path, at, _crashRandom.Next(8));
            return new DamageDone($"a bit flipped in {AreaOf(path)}", path, at);
        }

        switch (_crashRandom.Next(5))
        {
            case 0 when !path.Contains("/MANIFEST-", StringComparison.Ordinal):
                // (A manifest that is cut between two edits is one that was killed before the second: nothing can tell.)
                int left = _crashRandom.Next(bytes.Length + 1);
                disk.WriteAll(path, bytes.AsSpan(0, left));
                return left == bytes.Length ? null : new DamageDone($"{AreaOf(path)} cut", path, left);
            case 1:
                byte[] more = new byte[_crashRandom.Next(1, 600)];
                _crashRandom.NextBytes(more);
                disk.WriteAll(path, [.. bytes, .. more]);
                return new DamageDone($"{AreaOf(path)} grown", path, bytes.Length);
            case 2:
                disk.WriteAll(path, []);
                return bytes.Length == 0 ? null : new DamageDone($"{AreaOf(path)} emptied", path, 0);
            case 3:
                disk.Delete(path);
                disk.SyncFolder(path[..path.LastIndexOf('/')]);
                return new DamageDone($"{AreaOf(path)} removed", path, 0);
            default:
                string other = paths[_crashRandom.Next(paths.Length)];
                byte[] others = disk.ReadAll(other);
                if (AreaOf(other) != AreaOf(path) || others.AsSpan().SequenceEqual(bytes))
                    return null;
                disk.WriteAll(path, others);
                disk.WriteAll(other, bytes);
                return new DamageDone($"{AreaOf(path)} exchanged with another", path, 0);
        }
    }

    private void TryDamaged(SimulatedFileSystem disk, DamageDone damage)
    {
        string when = $"{damage.What} ({damage.Path} at {damage.Offset})";
        bool? verified = Verifies(disk, when);
        string fate;
        try
        {
            using SimulatedNode world = new(disk, _crashRandom.Fork(), new SimulatedClock(_scheduler.Time.GetUtcNow()), this, Folder);
            fate = "noticed by a read";
            CheckContent(world.Node, _history.Count - 1, when);
            fate = "harmless";
        }
        catch (StorageException e)
        {
            fate = "refused at the start";
            if (!e.Message.Contains(Folder, StringComparison.Ordinal))
                throw Broken($"{when}: the refusal names no file: {e.Message}", e);
            if (verified == true)
                throw Broken($"{when}: refused with \"{e.Message}\", and verify finds nothing", e);
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw Broken($"{when}: {e.GetType().Name}: {e.Message}", e);
        }

        Count($"damage: {damage.What}: {fate}");
    }

    /// <summary>What <c>kvasir verify</c> would say: true when it finds nothing; null when nobody said how to ask it.</summary>
    private bool? Verifies(SimulatedFileSystem disk, string when)
    {
        try
        {
            return _options.Verify is { } verify ? verify(disk, Folder).Count == 0 : null;
        }
        catch (Exception e)
        {
            throw Broken($"{when}: verify threw {e.GetType().Name}: {e.Message}", e);
        }
    }

    private sealed record DamageDone(string What, string Path, long Offset);
}
