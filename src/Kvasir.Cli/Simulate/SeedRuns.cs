using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>Runs of many seeds, one after another or several at once.</summary>
internal static class SeedRuns
{
    /// <summary>
    /// Runs number 0 to <paramref name="count"/>, until all are done, <paramref name="stop"/> says so, or one breaks a promise:
    /// that one is returned, with its number. Seeds that are under way when it says so are left where they are, and count as not run:
    /// some take a minute. <paramref name="add"/> hears of each that kept them, one at a time, in whatever
    /// order they end.
    /// </summary>
    public static (long Number, WorkloadFailedException Failure)? Run<TResult>(
        long count, int jobs, Func<long, TResult> run, Action<TResult> add, CancellationToken stop)
    {
        Lock shared = new();
        long next = 0;
        bool isOver = false;
        (long Number, WorkloadFailedException Failure)? broken = null;
        using CountdownEvent running = new(jobs);
        for (int i = 0; i < jobs; i++)
            new Thread(RunSome) { IsBackground = true, Name = "work" }.Start();
        try
        {
            running.Wait(stop);
        }
        catch (OperationCanceledException)
        {
            // What has been done is told.
        }

        lock (shared)
            isOver = true;
        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine();
        return broken;

        void RunSome()
        {
            while (true)
            {
                long number;
                lock (shared)
                {
                    if (isOver)
                        return;
                    if (next == count || broken is not null)
                    {
                        running.Signal();
                        return;
                    }

                    number = next++;
                }

                try
                {
                    TResult result = run(number);
                    lock (shared)
                    {
                        if (!isOver)
                            add(result);
                    }
                }
                catch (WorkloadFailedException e)
                {
                    lock (shared)
                    {
                        if (!isOver)
                            broken ??= (number, e);
                    }
                }
            }
        }
    }
}
