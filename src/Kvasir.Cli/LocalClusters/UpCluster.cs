using System.Collections.Concurrent;
using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Server.Hosting;

namespace Kvasir.Cli.LocalClusters;

/// <summary><c>kvasir up --nodes N</c>: a whole cluster on this machine, in front of a person.</summary>
internal static class UpCluster
{
    // What a cluster that was started with nobody's wishes promises (docs/operations.md).
    private const int CopiesPromised = 3;
    private const int Databases = 16;

    private const long MemoryMibMin = 128;

    private static readonly TimeSpan s_sameSignal = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_stopPatience = TimeSpan.FromSeconds(30);

    public static async Task<int> Run(string folder, int nodes, int respPort, bool restarts, CancellationToken cancellation)
    {
        long memory = Math.Max((ServerOptions.DefaultMemoryBytes >> 20) / nodes, MemoryMibMin);
        LocalLayout layout = LocalLayout.Prepare(folder, nodes, respPort, memory);
        foreach (NodePlace place in layout.Nodes)
        {
            if (place.IsRunning)
                throw new UsageException($"{place.Name} of {folder} runs already; stop it first");
        }

        // What nodes say while all are stopped is that others go: of interest only when one does not end as it should.
        ConcurrentQueue<string> lastWords = new();
        bool isStopping = false;
        using LocalCluster cluster = new(layout, (place, line) =>
        {
            if (Volatile.Read(ref isStopping))
                lastWords.Enqueue($"{place.Name}: {line}");
            else
                Complain($"{place.Name}: {line}");
        });
        int copies = Math.Min(nodes, CopiesPromised);
        bool isUp = false, endedCleanly = true;
        try
        {
            await cluster.Start(cancellation);
            await cluster.UntilReplicated(
                [.. Enumerable.Range(0, Databases).Select(i => string.Create(CultureInfo.InvariantCulture, $"db{i}"))],
                copies, missing => Complain("waiting: " + missing), cancellation);

            // With fewer nodes than copies are promised `status` warns for as long as it stays so.
            string? unwell = nodes < CopiesPromised
                ? null
                : await new HealthWait(cluster.Unwell, wrong => Complain("waiting: " + wrong)).Run(cancellation);
            isUp = true;
            Welcome(cluster, copies, restarts);
            if (unwell is not null)
                Complain("not all is well yet, and it is not waited for any longer: " + unwell);
            await new ClusterWatch(cluster, restarts, Complain).Run(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Told to stop before it was up.
        }
        catch (UsageException) when (cancellation.WaitHandle.WaitOne(s_sameSignal))
        {
            // A terminal's Ctrl-C goes to the nodes, too, and one that has just begun is gone before this process has heard of it.
        }
        finally
        {
            Volatile.Write(ref isStopping, true);
            bool clean = await cluster.Stop();
            foreach (string line in clean ? [] : lastWords.ToArray())
                Complain(line);
            if (isUp)
            {
                // Only one who had all nodes may stop those that were started again by hand: they are not another's.
                await StartedElsewhere.Stop(layout.Nodes, s_stopPatience);
                endedCleanly = clean;
                if (!clean)
                    Complain("not every node ended cleanly; what was acknowledged is on disk all the same");
            }
        }

        return endedCleanly ? ExitCode.Success : ExitCode.Negative;
    }

    private static void Complain(string line) => Console.Error.WriteLine(line);

    /// <summary>Plain lines: they are to be copied from, whole.</summary>
    private static void Welcome(LocalCluster cluster, int copies, bool restarts)
    {
        int first = cluster.Nodes[0].RespPort;
        NodePlace last = cluster.Nodes[^1];
        Console.Out.WriteLine(
            $"Kvasir {KvasirCommand.Version} is up: {cluster.Nodes.Count} nodes, db0 to db15 have {copies} copies each; a write is on stable storage on most of them when it is acknowledged.");
        Console.Out.WriteLine();
        foreach (NodePlace place in cluster.Nodes)
        {
            Console.Out.WriteLine($"  {place.Name,-8} RESP {place.Resp,-16} health and metrics http://{place.Http,-16} process {cluster.ProcessOf(place)!.ProcessId,-8} data {place.Folder}");
        }

        Console.Out.WriteLine();
        Console.Out.WriteLine("Try:");
        Console.Out.WriteLine($"  redis-cli -p {first} SET greeting hello; redis-cli -p {last.RespPort} GET greeting");
        Console.Out.WriteLine($"  {ThisProgram.Name} status -p {first}");
        if (cluster.Nodes.Count > 2)
            Console.Out.WriteLine($"  kill -9 $(cat {ThisProgram.ForShell(Path.Combine(last.Folder, "kvasir.pid"))}); redis-cli -p {first} INCR survivors");
        Console.Out.WriteLine();
        if (restarts)
            Console.Out.WriteLine("A node that dies is started again.");
        else
            Console.Out.WriteLine("A node that was killed comes back by: " + ClusterWatch.RestartCommand(last));
        if (cluster.Nodes.Count == 2)
            Console.Out.WriteLine("Two nodes serve while both are there: with three, one may die.");
        Console.Out.WriteLine("Ctrl-C stops all of them cleanly.");
    }
}
