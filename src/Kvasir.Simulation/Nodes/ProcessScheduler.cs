using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// Background work of one process: each job runs whole, a while after it was asked for, by the seed; later when the disk
/// hangs. Whoever waits runs what waits with it.
/// </summary>
internal sealed class ProcessScheduler(NodeProcess process, SeededRandom random, TimeProvider time) : IScheduler
{
    private const int IdleRoundsMax = 100_000;

    private readonly NodeProcess _process = process;
    private readonly List<IBackgroundJob> _jobs = [];

    public TimeProvider Time { get; } = time;

    public void Schedule(IBackgroundJob job, JobPriority priority)
    {
        _jobs.Add(job);
        double meanMs = priority == JobPriority.Commit ? 0.4 : 3;
        Await(job, TimeSpan.FromMilliseconds(0.05 - (Math.Log(1 - random.NextDouble()) * meanMs)));
    }

    public bool HasWaitingJobs => _jobs.Count > 0;

    public IWaitPoint CreateWaitPoint() => new ProcessWaitPoint(this);

    /// <summary>Everybody has a processor.</summary>
    public void Yield()
    {
    }

    public void Pause(TimeSpan time)
    {
        RunOne();
        _process.Machine.World.Events.Clock.Advance(time);
    }

    /// <summary>What is left is done, at once.</summary>
    public void RunAll()
    {
        while (RunOne())
        {
        }
    }

    private void Await(IBackgroundJob job, TimeSpan delay) => _process.Machine.World.Events.After(delay, () =>
    {
        TimeSpan stalled = _process.Machine.StalledUntil - _process.Machine.World.Events.Now;
        if (stalled > TimeSpan.Zero && _process.IsAlive)
        {
            Await(job, stalled);
            return;
        }

        _process.Happen(() =>
        {
            // Somebody who waited may have run it.
            if (_jobs.Remove(job))
                job.Run();
        });
    });

    private bool RunOne()
    {
        if (_jobs.Count == 0)
            return false;
        int index = random.Next(_jobs.Count);
        IBackgroundJob job = _jobs[index];
        _jobs.RemoveAt(index);
        job.Run();
        return true;
    }

    private sealed class ProcessWaitPoint(ProcessScheduler scheduler) : IWaitPoint
    {
        public void WaitUntil(Func<bool> condition)
        {
            SimulatedClock clock = scheduler._process.Machine.World.Events.Clock;
            int idle = 0;
            while (!condition())
            {
                if (scheduler.RunOne())
                    continue;
                if (clock.NextDue() is not { } due || ++idle > IdleRoundsMax)
                    throw new SimulatedDeadlockException($"{condition.Method.DeclaringType?.FullName}.{condition.Method.Name}");
                TimeSpan left = due - clock.GetUtcNow();
                if (left > TimeSpan.Zero)
                    clock.Advance(left);
                else
                    clock.FireDue();
            }
        }

        public void Pulse()
        {
        }
    }
}
