using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.DataFiles;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Simulate;

/// <summary>The damage sweep over a copy, in memory, of a real folder.</summary>
internal static class DamageSimulation
{
    public static int Run(string folder, int flips, ulong seed, bool json, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        SimulatedFileSystem disk = AbandonableWork.Run(() => Copy(folder, seed), stop);
        bool shown = !Console.IsErrorRedirected;
        long done = 0;
        IReadOnlyDictionary<string, long> fates;
        void Tell()
        {
            stop.ThrowIfCancellationRequested();
            done++;
            if (shown)
                Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{done} flips, {watch.Elapsed.TotalSeconds:F0} s "));
        }

        try
        {
            DamageSweepOptions options = new()
            {
                Disk = disk,
                Folder = folder,
                // An imagined disk fills a map to its end: no longer than the file needs, it costs next to nothing.
                Engines = [new LsmEngineFactory(), new HashLogEngineFactory(), new BTreeEngineFactory(tree: new BTreeOptions { MapBytesMin = 1 << 20 })],
                Verify = static (files, path) => new FolderCheck(files, static (_, _) => { }).Run(path),
                Seed = seed,
                FlipsPerFile = flips,
            };
            fates = AbandonableWork.Run(() => DamageSweep.Run(options, Tell), stop);
        }
        catch (WorkloadFailedException e)
        {
            if (shown)
                Console.Error.WriteLine();
            Console.Error.WriteLine($"kvasir: {e.Message}. Replay: ./kvasir simulate damage {folder} --flips {flips} --seed {seed}");
            return ExitCode.Negative;
        }

        if (shown)
            Console.Error.WriteLine();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { flips = done, fates, seconds = watch.Elapsed.TotalSeconds }));
            return ExitCode.Success;
        }

        foreach ((string what, long count) in fates)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count,12:N0}  {what}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{done} flips in {disk.Paths.Count} files, no wrong data served; {watch.Elapsed.TotalSeconds:F0} s"));
        return ExitCode.Success;
    }

    private static SimulatedFileSystem Copy(string folder, ulong seed)
    {
        var files = new PosixFileSystem();
        if (!files.FileExists(NodeInspector.IdentityPath(folder)))
            throw new UsageException($"{folder} is no data folder of a server: it has no {Path.GetFileName(NodeInspector.IdentityPath(folder))}");
        var disk = new SimulatedFileSystem(new SeededRandom(seed));
        try
        {
            using IDisposable locked = files.Lock(NodeInspector.LockPath(folder));
            Copy(files, folder, disk);
        }
        catch (FolderInUseException e)
        {
            throw new UsageException($"{folder} is open in another process; stop it first", e);
        }

        return disk;
    }

    private static void Copy(PosixFileSystem files, string folder, SimulatedFileSystem disk)
    {
        foreach (string name in files.ListFiles(folder))
        {
            string path = folder + "/" + name;
            using IFile file = files.Open(path, FileOpenMode.Read);
            byte[] bytes = new byte[file.Length];
            file.Read(bytes, 0);
            disk.WriteAll(path, bytes);
        }

        foreach (string name in files.ListFolders(folder))
            Copy(files, folder + "/" + name, disk);
    }
}
