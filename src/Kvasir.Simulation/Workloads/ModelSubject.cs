using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Workloads;

/// <summary>What a model workload tries, beside the model of what it should hold.</summary>
internal abstract class ModelSubject
{
    protected ModelSubject(ModelWorld world) => World = world;

    public abstract IStorageEngine Engine { get; }

    /// <summary>What everybody sees.</summary>
    public abstract OrderedModel Published { get; }

    /// <summary>A crash was taken down that <see cref="Reopen"/> has not gone back to.</summary>
    public bool CrashIsDue { get; protected set; }

    protected ModelWorld World { get; }

    /// <summary>Applies mutations together; when it returns the subject may have published them or not.</summary>
    public abstract void Write(IReadOnlyList<ModelMutation> mutations);

    /// <summary>What only this subject has: publishing, forgetting. True when views held until now are no longer sure.</summary>
    public abstract void StepAside(Action dropViews);

    /// <summary>A view that reads may ask for now, and what it must show.</summary>
    public abstract (ReadView View, OrderedModel Model) RandomView();

    public abstract void Flush();

    /// <summary>Takes sorted rows that overlap nothing; does nothing where the subject cannot.</summary>
    public abstract void Ingest(IReadOnlyList<OrderedRow> rows);

    /// <summary>
    /// Writes a checkpoint, opens it, hands it to <paramref name="compare"/> with what it must hold, and lets
    /// <paramref name="use"/> write to it.
    /// </summary>
    public abstract void Checkpoint(string folder, Action<IStorageEngine, OrderedModel> compare);

    /// <summary>The machine would stop at this instant: keeps the disk as it would be found, and what it must hold.</summary>
    public abstract void NoteCrash(SimulatedFileSystem left, CrashKind kind);

    /// <summary>Stops, or goes back to the noted crash, and starts again. No view is held.</summary>
    public abstract void Reopen();

    /// <summary>Stops for good. No view is held.</summary>
    public abstract void Close();

    /// <summary>The bytes of all data files on disk must be those that the engine says it has.</summary>
    protected void CheckFiles(string folder)
    {
        World.Scheduler.RunAll();
        EngineStatistics statistics = Engine.GetStatistics();
        long bytes = 0;
        foreach (string name in World.Files.ListFiles(folder))
        {
            if (DataFiles.Are(folder + "/" + name))
                bytes += World.Files.FileLength(folder + "/" + name);
        }

        if (bytes != statistics.DiskBytes)
            throw new ModelMismatchException($"data files take {bytes} bytes of disk, the engine tells of {statistics.DiskBytes}");
        World.Coverage.Add("KiB flushed", statistics.FlushBytesWritten >> 10);
        World.Coverage.Add("KiB compacted", statistics.CompactionBytesWritten >> 10);
        int deepest = statistics.Levels.Count(l => l.Files > 0);
        World.Coverage.Add($"closed with {deepest} levels of tables");
    }

    protected static void CheckMemory(MemoryBudget budget)
    {
        if (budget.WriteBytes != 0 || budget.CacheBytes != 0)
            throw new ModelMismatchException($"closed, and {budget.WriteBytes} bytes of write memory and {budget.CacheBytes} of caches are left");
    }
}
