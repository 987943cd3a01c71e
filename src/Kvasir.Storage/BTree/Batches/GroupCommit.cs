using System.Runtime.ExceptionServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.BTree.Batches;

/// <summary>
/// Gathers small transactions of many callers into commits. The first to come leads: it takes the writer's place, then whatever
/// waits by then, and commits it; meanwhile others gather, and one of them leads next. A thread leads by itself, for a task a
/// job of the scheduler does.
/// </summary>
internal sealed class GroupCommit
{
    // Turns of the processor without a newcomer, after which nobody more is awaited.
    private const int QuietTurns = 4;

    // Requests that nobody uses are kept for the next callers, up to this.
    private const int SpareMax = 4096;

    private readonly BTreeStore _store;
    private readonly IScheduler _scheduler;
    private readonly LeaderJob _job;
    private readonly Lock _lock = new();
    private readonly RequestQueue _waiting = new();

    // A thread's request has the place where it sleeps, so that nobody is woken for others.
    private readonly Stack<ThreadRequest> _spareThreads = new();
    private readonly Stack<TaskRequest> _spareTasks = new();

    // Of the leader: there is one at a time.
    private readonly List<BatchRequest> _batch = [];
    private readonly List<BatchRequest> _sound = [];
    private bool _hasLeader;
    private int _lastBatch;

    public GroupCommit(BTreeStore store, IScheduler scheduler)
    {
        _store = store;
        _scheduler = scheduler;
        _job = new LeaderJob(this);
    }

    public void Run(Action<WriteTransaction> action)
    {
        ThreadRequest? request;
        lock (_lock)
            _spareThreads.TryPop(out request);
        request ??= new ThreadRequest(_scheduler.CreateWaitPoint());
        request.Begin(action);
        lock (_lock)
        {
            _waiting.Add(request);
            if (!_hasLeader)
            {
                _hasLeader = true;
                request.Leads = true;
            }
        }

        request.Await();
        if (request.Leads)
            Lead();
        Check.That(request.IsDone);
        ExceptionDispatchInfo? failure = request.End();
        lock (_lock)
        {
            if (_spareThreads.Count < SpareMax)
                _spareThreads.Push(request);
        }

        failure?.Throw();
    }

    public ValueTask RunAsync(Action<WriteTransaction> action, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
            return ValueTask.FromCanceled(cancellation);
        TaskRequest? request;
        bool isLeaderDue;
        lock (_lock)
        {
            if (!_spareTasks.TryPop(out request))
                request = new TaskRequest(this);
            request.Begin(action);
            _waiting.Add(request);
            isLeaderDue = !_hasLeader;
            _hasLeader = true;
        }

        // Whoever awaits the task has it only from here on, so nobody else uses the request before this has returned.
        ValueTask task = request.Register(cancellation);
        if (isLeaderDue && !_store.TrySchedule(_job, JobPriority.Commit))
            Lead();
        return task;
    }

    /// <summary>True if the request was waiting, and nobody will run its action any more.</summary>
    internal bool TryWithdraw(TaskRequest request)
    {
        lock (_lock)
            return _waiting.TryRemove(request);
    }

    internal void Recycle(TaskRequest request)
    {
        lock (_lock)
        {
            if (_spareTasks.Count < SpareMax)
                _spareTasks.Push(request);
        }
    }

    private void Lead()
    {
        while (LeadOnce() is { } next)
        {
            if (next is ThreadRequest thread)
            {
                thread.Lead();
                return;
            }

            if (_store.TrySchedule(_job, JobPriority.Commit))
                return;

            // The store is closed, and whoever is left is told so here.
        }
    }

    /// <summary>One commit. Gives back who waits by its end, for whom somebody has to lead.</summary>
    private BatchRequest? LeadOnce()
    {
        Check.That(_batch.Count == 0);
        try
        {
            using WriteTransaction transaction = _store.BeginWrite();
            CommitAll(transaction);
        }
        catch (Exception exception)
        {
            // The leader itself is among them, so that the failure reaches its caller too.
            if (_batch.Count == 0)
                Take();
            var failure = ExceptionDispatchInfo.Capture(exception);
            foreach (BatchRequest request in _batch)
                request.Failure ??= failure;
        }

        _lastBatch = _batch.Count;
        BatchRequest? next;
        BatchRequest[] done = [.. _batch];
        _batch.Clear();
        _sound.Clear();
        lock (_lock)
        {
            next = _waiting.First;
            _hasLeader = next is not null;
        }

        foreach (BatchRequest request in done)
            request.Complete();
        return next;
    }

    /// <summary>
    /// Those that the last commit has just released are about to come back: where they were many, they get a turn each before this
    /// one ends, or each would go with the few that were awake first. Meanwhile the actions of those that are here run.
    /// </summary>
    private void CommitAll(WriteTransaction first)
    {
        WriteTransaction transaction = first;
        int expected = Math.Min(_lastBatch, _store.Options.BatchMax);
        try
        {
            for (int quiet = 0; ;)
            {
                int taken = Take();
                if (!TryRun(transaction, _sound.Count - taken))
                {
                    transaction.Dispose();
                    transaction = RunAgain();
                }

                if (_batch.Count >= expected || quiet == QuietTurns)
                    break;
                quiet = taken != 0 ? 0 : quiet + 1;
                _scheduler.Yield();
            }

            transaction.Commit();
        }
        finally
        {
            transaction.Dispose();
        }
    }

    /// <summary>Leaves those out that throw, one after the other, until a run of all the others has come to its end.</summary>
    private WriteTransaction RunAgain()
    {
        while (true)
        {
            WriteTransaction transaction = _store.BeginWrite();
            if (TryRun(transaction, from: 0))
                return transaction;
            transaction.Dispose();
        }
    }

    /// <summary>False: one has thrown, which is out now, and what the transaction holds is good for nothing.</summary>
    private bool TryRun(WriteTransaction transaction, int from)
    {
        for (int i = from; i < _sound.Count; i++)
        {
            try
            {
                _store.Act(_sound[i].Action, transaction);
            }
            catch (Exception exception)
            {
                _sound[i].Failure = ExceptionDispatchInfo.Capture(exception);
                _sound.RemoveAt(i);
                return false;
            }
        }

        return true;
    }

    /// <summary>From here on they cannot be withdrawn.</summary>
    private int Take()
    {
        int before = _batch.Count;
        lock (_lock)
        {
            while (_batch.Count < _store.Options.BatchMax && _waiting.TryTake() is { } request)
            {
                _batch.Add(request);
                _sound.Add(request);
            }
        }

        return _batch.Count - before;
    }

    private sealed class LeaderJob(GroupCommit group) : IBackgroundJob
    {
        public string Name => "btree group commit";

        public void Run() => group.Lead();
    }
}
