namespace Kvasir.Cli.CommandLine;

/// <summary>
/// Work that leaves nothing behind which it would have to clear away: it reads, computes, or waits for input. Whoever asks for an
/// end need not wait until it looks at a token, and what it does in between may take its time: it is left where it is, and the
/// end of the process takes it along.
/// </summary>
internal static class AbandonableWork
{
    /// <summary>What <paramref name="work"/> returns or throws.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    public static T Run<T>(Func<T> work, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        TaskCompletionSource<T> end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Thread thread = new(() =>
        {
            try
            {
                end.SetResult(work());
            }
            catch (Exception e)
            {
                end.SetException(e);
            }
        })
        { IsBackground = true, Name = "work" };
        thread.Start();
        return end.Task.WaitAsync(stop).GetAwaiter().GetResult();
    }
}
