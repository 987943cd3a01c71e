using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What <c>kvasir torture --nodes N</c> was asked to do.</summary>
internal sealed record ClusterTortureOptions
{
    public required int Nodes { get; init; }

    public required TimeSpan Duration { get; init; }

    public int Clients { get; init; } = 8;

    public ulong Seed { get; init; } = 1;

    public TortureFaults Faults { get; init; } = TortureFaults.All;

    /// <summary>Clients use a keyspace of each.</summary>
    public IReadOnlyList<string> Engines { get; init; } = [TorturedKeyspaces.DefaultEngine];

    /// <summary>Null: a temporary one, removed when all is well.</summary>
    public string? Folder { get; init; }

    /// <summary>Where the history goes; null for nowhere.</summary>
    public string? HistoryFile { get; init; }

    public bool Json { get; init; }
}

/// <summary>A cluster of real processes, clients that write down what they see, and a nemesis; and then the verdict.</summary>
internal static class ClusterTorture
{
    private const int LaneCount = 24;
    private const int OperationsPerKey = 250;
    private const int NapMs = 50;

    private static readonly TimeSpan s_part = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_clientPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_readerPatience = TimeSpan.FromSeconds(60);

    public static async Task<int> Run(ClusterTortureOptions options, CancellationToken stop)
    {
        string folder = options.Folder ?? Directory.CreateTempSubdirectory("kvasir-torture-").FullName;
        using TorturedCluster cluster = new(folder, options.Nodes, options.Faults.HasFlag(TortureFaults.Disk), options.Engines);
        if (options.Faults.HasFlag(TortureFaults.Disk) && cluster.SmallDisk is null)
            await Console.Error.WriteLineAsync("no disk is filled: this system does not let users make mount namespaces (unshare -rm)");
        SeededRandom random = new(options.Seed);
        TortureLane[] lanes = TortureLane.Make(LaneCount, OperationsPerKey, [.. options.Engines.Select(TorturedKeyspaces.Of)]);
        await cluster.Start(stop);
        IReadOnlyDictionary<string, int> shards = cluster.ShardsOf(lanes);
        AvailabilityMeter meter = new(key => shards[TortureLane.TagOf(key)], [.. shards.Values]);
        Dictionary<string, KeyKind> kinds = lanes.ToDictionary(l => l.Tag, l => l.Kind, StringComparer.Ordinal);
        HistoryClock clock = new(TimeProvider.System);
        using TextWriter? file = options.HistoryFile is { } path ? new StreamWriter(path) : null;
        HistoryClient reader = new(options.Clients, options.Clients + 1, clock, cluster.Addresses, lanes, random.Fork(), s_clientPatience);
        using HistoryJudge judge = new(reader, key => kinds[TortureLane.TagOf(key)], meter, file, HistoryFiles.FormatOf(options.HistoryFile ?? ""), s_readerPatience);
        using ClientLoad load = new(options.Clients, clock, cluster.Addresses, lanes, random.Fork(), s_clientPatience, (_, part) => judge.Take(part));
        string? broken = null;
        Exception? failure = null;
        Nemesis? nemesis = null;
        load.Start();
        try
        {
            long end = clock.NowNs + (options.Duration.Ticks * 100);
            bool GoesOn() => clock.NowNs < end && !stop.IsCancellationRequested && load.Defect is null && judge.Defect is null;
            void Sleep(int milliseconds)
            {
                long until = Environment.TickCount64 + milliseconds;
                while (GoesOn() && Environment.TickCount64 < until)
                    Thread.Sleep(NapMs);
            }

            using Timer parts = new(_ => load.BeginNextPart(), null, s_part, s_part);
            nemesis = new Nemesis(cluster, options.Faults, LongestFault(options), random.Fork(), clock, meter, what => Say(clock, what), Sleep);
            Sleep(2000);
            while (GoesOn())
            {
                if (options.Faults == TortureFaults.None)
                    Sleep(1000);
                else
                    nemesis.Step();
            }
        }
        catch (BrokenPromiseException e)
        {
            broken = e.Message;
        }
        catch (Exception e)
        {
            // Whatever this program could not do says nothing of the cluster, and nothing against what was seen of it until then. Of what it
            // has broken much may still be so.
            failure = e;
        }

        failure ??= load.Defect ?? judge.Defect;
        bool isComplete = broken is null && failure is null && !stop.IsCancellationRequested;
        cluster.HealLinks();
        if (!isComplete)
            judge.ReadNoMore();
        load.Stop();
        judge.Finish();
        failure ??= load.Defect ?? judge.Defect;
        broken ??= load.Clients.Select(c => c.BrokenPromise).FirstOrDefault(b => b is not null);
        if (isComplete && broken is null && failure is null)
        {
            try
            {
                cluster.AwaitWhole();
                judge.ReadAgain();
            }
            catch (BrokenPromiseException e)
            {
                broken = e.Message;
            }
            catch (Exception e)
            {
                failure = e;
            }
        }

        bool clean = await cluster.Stop();

        // A person who ends the run by Ctrl-C ends the nodes with it: what they did last is no finding.
        if (stop.IsCancellationRequested)
            (broken, failure) = (null, null);
        else if (!clean && failure is null)
            broken ??= "a node did not stop cleanly at the end";
        TortureReport report = TortureReport.From(options, load, judge, meter, nemesis?.Done ?? new SortedDictionary<string, int>(StringComparer.Ordinal), broken, failure);
        Console.WriteLine(options.Json ? JsonSerializer.Serialize(report) : report.ToText());
        bool isBad = broken is not null || judge.Verdict == Verdict.Invalid;
        bool isGood = !isBad && judge.Verdict == Verdict.Valid;
        if (!isGood || failure is not null)
        {
            string? early = failure is null ? null : $"it ended early, and not by the cluster: {failure.Message}";
            string why = (isBad ? broken ?? judge.Explanation : early ?? judge.Explanation)!;
            Console.Error.WriteLine($"kvasir: seed {options.Seed}: {why}. The data is in {folder}{Environment.NewLine}{cluster.LastWords}");
            cluster.KeepSmallDisk();
        }
        else if (options.Folder is null)
        {
            Directory.Delete(folder, recursive: true);
        }

        if (!isBad && failure is not null)
            ExceptionDispatchInfo.Throw(failure);
        if (isGood)
            stop.ThrowIfCancellationRequested();
        return isGood ? ExitCode.Success : ExitCode.Negative;
    }

    /// <summary>Half a minute of silence is much of a short run.</summary>
    private static TimeSpan LongestFault(ClusterTortureOptions options) =>
        TimeSpan.FromSeconds(Math.Clamp(options.Duration.TotalSeconds / 8, 2, 30));

    private static void Say(HistoryClock clock, string what) =>
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{clock.NowNs / 1e9,8:F1} s  {what}"));
}
