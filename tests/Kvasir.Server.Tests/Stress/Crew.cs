using System.Runtime.ExceptionServices;

namespace Kvasir.Server.Tests.Stress;

/// <summary>Threads that work on one server together. The first that fails stops the others, and its failure is the test's.</summary>
internal sealed class Crew
{
    private readonly List<Thread> _threads = [];
    private Exception? _failure;
    private volatile bool _ended;

    /// <summary>How much longer than usual stress lasts: KVASIR_STRESS=50 ./test --filter Stress.</summary>
    public static int Scale { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("KVASIR_STRESS"), out int scale) && scale > 0 ? scale : 1;

    /// <summary>False once the crew should stop.</summary>
    public bool GoesOn => !_ended;

    public void Add(string name, Action work)
    {
        Thread thread = new(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref _failure, new InvalidOperationException($"{name}: {e.Message}", e), null);
                _ended = true;
            }
        })
        {
            Name = name,
            IsBackground = true,
        };
        _threads.Add(thread);
        thread.Start();
    }

    /// <summary>Ends those who go on for as long as the crew does, waits for all, and throws what went wrong.</summary>
    public void Finish(Exception? failure = null)
    {
        _ended = true;
        foreach (Thread thread in _threads)
            Assert.True(thread.Join(TimeSpan.FromMinutes(10)), $"{thread.Name} hangs");
        failure = _failure ?? failure;
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Does <paramref name="work"/> on this thread while the others work, then finishes.</summary>
    public void Lead(Action work)
    {
        Exception? failure = null;
        try
        {
            work();
        }
        catch (Exception e)
        {
            failure = e;
        }

        Finish(failure);
    }
}
