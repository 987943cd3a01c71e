using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;

namespace Kvasir.Simulation.Workloads;

/// <summary>What a model workload and its subject share: chance, time, the disk, and the settings of the moment.</summary>
internal sealed class ModelWorld
{
    private readonly ModelWorkloadOptions _options;
    private IEngineFactory _engines;

    public ModelWorld(ModelWorkloadOptions options)
    {
        _options = options;
        Random = new SeededRandom(options.Seed);
        Scheduler = new SimulatedScheduler(Random.Fork());
        Disk = new SimulatedFileSystem(Random.Fork());
        WriteMemoryBytes = Random.OneIn(2) ? MemoryBudget.MinimumBytes / 16 * 15 : 0;
        _engines = options.Engine(Random.Fork());
    }

    public SeededRandom Random { get; }

    public SimulatedScheduler Scheduler { get; }

    /// <summary>Imagined; nobody uses it where the options give another.</summary>
    public SimulatedFileSystem Disk { get; private set; }

    public IFileSystem Files => _options.Disk?.Files ?? Disk;

    /// <summary>Before the path of every folder.</summary>
    public string Root => _options.Disk?.Folder ?? "";

    public WriteDurability? Durability => _options.Durability;

    /// <summary>Nearly all, so that caches get only what they always get, in half of the runs.</summary>
    public long WriteMemoryBytes { get; }

    public DiskWorkloadCoverage Coverage { get; } = new();

    public ulong DiskFingerprint { get; private set; }

    public long NowMs => Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    public IEngineFactory Engines => _engines;

    public void ChangeSettings()
    {
        _engines = _options.Engine(Random.Fork());
        Coverage.Add("settings changed");
    }

    public MemoryBudget NewBudget() => new(MemoryBudget.MinimumBytes, WriteMemoryBytes);

    /// <summary>Goes on with the disk that a crash left.</summary>
    public void ReplaceDisk(SimulatedFileSystem left)
    {
        DiskFingerprint = (DiskFingerprint * 31) + Disk.Fingerprint;
        left.BeforeOperation = Disk.BeforeOperation;
        Disk.BeforeOperation = null;
        Disk = left;
    }

    /// <summary>Lets writers wait as they are told to, bounded so that a stall is noticed.</summary>
    public void PauseAsSuggested(IStorageEngine engine)
    {
        for (int i = 0; engine.SuggestWriteDelay(0) is var delay && delay > TimeSpan.Zero; i++)
        {
            if (engine.BackgroundFailure is { } failure)
                throw new InvalidOperationException($"background work failed: {failure.Message}", failure);
            Check.That(i < 10_000, "writers are held back for ever");
            Scheduler.Pause(delay);
        }
    }

    public void RemoveFolder(string folder)
    {
        Action<DiskOperation>? before = Disk.BeforeOperation;
        Disk.BeforeOperation = null;
        RemoveFolder(Files, folder);
        Disk.BeforeOperation = before;
    }

    private static void RemoveFolder(IFileSystem files, string folder)
    {
        foreach (string inner in files.ListFolders(folder))
            RemoveFolder(files, folder + "/" + inner);
        foreach (string name in files.ListFiles(folder))
            files.Delete(folder + "/" + name);
        files.SyncFolder(folder);
        files.DeleteFolder(folder);
    }
}

/// <summary>The system under test and the model did not agree.</summary>
internal sealed class ModelMismatchException : Exception
{
    public ModelMismatchException() { }

    public ModelMismatchException(string message) : base(message) { }

    public ModelMismatchException(string message, Exception inner) : base(message, inner) { }
}
