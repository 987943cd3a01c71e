using System.Globalization;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <summary>What a damage sweep runs over.</summary>
public sealed record DamageSweepOptions
{
    /// <summary>A copy in memory of a stopped node's disk; not changed.</summary>
    public required SimulatedFileSystem Disk { get; init; }

    public required string Folder { get; init; }

    /// <summary>All that the folder's keyspaces may be of; it says itself which they are.</summary>
    public required IReadOnlyList<IEngineFactory> Engines { get; init; }

    /// <summary>Says what is damaged in a folder, as <c>kvasir verify</c> does.</summary>
    public required Func<IFileSystem, string, IReadOnlyList<DamageFinding>> Verify { get; init; }

    public required ulong Seed { get; init; }

    /// <summary>
    /// Offsets in each file: one in each of so many equal parts; of a long file half of them near its beginning, where
    /// files that are filled by and by have most of what they have.
    /// </summary>
    public int FlipsPerFile { get; init; } = 40;

    public long MemoryBytes { get; init; } = 64L << 20;
}

/// <summary>
/// Flips one bit of one byte of a stopped node's files at a time, everywhere: the start must refuse, or a read must, or
/// everything that is read must be what was written. What is refused, <c>verify</c> must name.
/// </summary>
public sealed class DamageSweep
{
    private const long HeadBytes = 16 << 10;

    private readonly DamageSweepOptions _options;
    private readonly SeededRandom _random;
    private readonly DiskWorkloadCoverage _fates = new();
    private readonly int _databases;
    private readonly ulong _content;

    private DamageSweep(DamageSweepOptions options)
    {
        _options = options;
        _random = new SeededRandom(options.Seed);
        _databases = NodeInspector.CountDatabases(options.Disk, options.Folder);
        if (options.Verify(options.Disk.Clone(), options.Folder) is [{ } finding, ..])
            throw new WorkloadFailedException($"damaged before anything was done to it: {finding.Path} at {finding.Offset}: {finding.Detail}");
        _content = ReadAll(options.Disk.Clone());
    }

    /// <summary>
    /// Returns how often each kind of file met each fate; throws <see cref="WorkloadFailedException"/> at the first flip that
    /// is served. <paramref name="flipped"/> hears of every flip.
    /// </summary>
    public static IReadOnlyDictionary<string, long> Run(DamageSweepOptions options, Action? flipped = null)
    {
        DamageSweep sweep = new(options);
        foreach (string path in options.Disk.Paths)
        {
            // A checkpoint below the folder is a node of its own.
            if (!path.StartsWith(options.Folder + "/", StringComparison.Ordinal) || path.Contains("/checkpoints/", StringComparison.Ordinal))
                continue;
            long length = options.Disk.ReadAll(path).Length;
            long head = Math.Min(length, HeadBytes);
            foreach ((long from, long part) in new[] { (0L, head), (head, length - head) })
            {
                long flips = Math.Min(part, part == length ? options.FlipsPerFile : options.FlipsPerFile / 2);
                for (long i = 0; i < flips; i++)
                {
                    long begin = part * i / flips;
                    sweep.Flip(path, from + begin + sweep._random.NextInt64((part * (i + 1) / flips) - begin));
                    flipped?.Invoke();
                }
            }
        }

        return sweep._fates.Counts;
    }

    private void Flip(string path, long offset)
    {
        int bit = _random.Next(8);
        string where = string.Create(CultureInfo.InvariantCulture, $"bit {bit} of the byte at {offset} of {path} was flipped");
        SimulatedFileSystem disk = _options.Disk.Clone();
        disk.FlipBit(path, offset, bit);
        string fate;
        bool named;
        try
        {
            IReadOnlyList<DamageFinding> findings = _options.Verify(disk.Clone(), _options.Folder);
            named = findings.Count > 0;
            if (named && !findings.Any(f => f.Path == path || f.Detail.Contains(path, StringComparison.Ordinal)))
                throw new WorkloadFailedException($"{where}, and verify blames {findings[0].Path}: {findings[0].Detail}");
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw new WorkloadFailedException($"{where}, and verify throws {e.GetType().Name}: {e.Message}", e);
        }

        try
        {
            if (ReadAll(disk) != _content)
                throw new WorkloadFailedException($"{where}, and wrong data is served (verify {(named ? "names it" : "says nothing")})");
            fate = named ? "named by verify, not needed" : "nothing depends on it";
        }
        catch (StorageException e)
        {
            fate = "refused";
            if (!named)
                throw new WorkloadFailedException($"{where}: refused with \"{e.Message}\", and verify finds nothing", e);
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw new WorkloadFailedException($"{where}: {e.GetType().Name}: {e.Message}", e);
        }

        _fates.Add($"{KindOf(path)}: {fate}");
    }

    /// <summary>Starts a node and reads everything; a digest of it.</summary>
    private ulong ReadAll(SimulatedFileSystem disk)
    {
        SimulatedScheduler scheduler = new(new SeededRandom(1));
        using KvasirNode node = KvasirNode.Open(
            new NodeOptions { Folder = _options.Folder, DatabaseCount = _databases, MemoryBytes = _options.MemoryBytes },
            new NodeEnvironment(disk, scheduler, _options.Engines, Seed: 1));
        ulong digest = 0;
        BytesBuffer value = new();

        // Keyspaces with names come behind the numbered ones.
        for (int database = 0; database < node.DatabaseCount; database++)
        {
            IStorageEngine engine = node.Database(database).Engine;
            using EngineScan iterator = engine.CreateScan(new IteratorOptions { BypassCache = true });
            int count = 0;
            for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            {
                digest = StableHash.Hash64(iterator.Key, digest + (ulong)database);
                digest = StableHash.Hash64(iterator.Value, digest ^ (ulong)iterator.ExpiresAtMs);

                // Point reads take another way, by filters and the index.
                if (count++ % 16 != 0)
                    continue;
                value.Clear();
                if (!engine.Get(iterator.Key, ReadView.Published, value).Found || !value.WrittenSpan.SequenceEqual(iterator.Value))
                    digest ^= 0xBAD;
            }
        }

        return digest;
    }

    private static string KindOf(string path)
    {
        string name = path[(path.LastIndexOf('/') + 1)..];
        int dot = name.LastIndexOf('.');
        return name.StartsWith("MANIFEST", StringComparison.Ordinal) ? "MANIFEST" : dot < 0 ? name : "*" + name[dot..];
    }
}
