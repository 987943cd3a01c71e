using Kvasir.Simulation.Workloads;

namespace Kvasir.Cli.Simulate;

/// <summary>Runs of many seeds, one after another or several at once.</summary>
internal static class SeedRuns
{
    /// <summary>
    /// Runs number 0 to <paramref name="count"/>, until all are done, <paramref name="stop"/> says so, or one breaks a promise:
    /// that one is returned, with its number. <paramref name="add"/> hears of each that kept them, one at a time, in whatever
    /// order they end.
    /// </summary>
    public static (long Number, WorkloadFailedException Failure)? Run<TResult>(
        long count, int jobs, Func<long, TResult> run, Action<TResult> add, CancellationToken stop)
    {
        Lock shared = new();
        long next = 0;
        (long Number, WorkloadFailedException Failure)? broken = null;
        Thread[] threads = [.. Enumerable.Range(0, jobs).Select(_ => new Thread(RunSome))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine();
        return broken;

        void RunSome()
        {
            while (!stop.IsCancellationRequested)
            {
                long number;
                lock (shared)
                {
                    if (next == count || broken is not null)
                        return;
                    number = next++;
                }

                try
                {
                    TResult result = run(number);
                    lock (shared)
                        add(result);
                }
                catch (WorkloadFailedException e)
                {
                    lock (shared)
                        broken ??= (number, e);
                }
            }
        }
    }
}
