using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.BTree;

/// <summary>
/// Gathers small transactions of many threads into commits. The first to come leads: it takes the writer's place, then whatever
/// waits by then, and commits it; meanwhile others gather, and one of them leads next.
/// </summary>
internal sealed class GroupCommit(BTreeStore store, IScheduler scheduler)
{
    // Turns of the processor without a newcomer, after which nobody more is awaited.
    private const int QuietTurns = 4;

    private readonly Lock _lock = new();
    private readonly Queue<Request> _waiting = new();

    // Each thread has one of its own while it waits, so that nobody is woken for others.
    private readonly ConcurrentStack<IWaitPoint> _waitPoints = new();
    private bool _hasLeader;
    private int _lastBatch;

    public void Run(Action<WriteTransaction> action)
    {
        var request = new Request(action, _waitPoints.TryPop(out IWaitPoint? spare) ? spare : scheduler.CreateWaitPoint());
        lock (_lock)
        {
            _waiting.Enqueue(request);
            if (!_hasLeader)
            {
                _hasLeader = true;
                request.State = RequestState.Leads;
            }
        }

        request.Wait.WaitUntil(() => request.State != RequestState.Waits);
        if (request.State == RequestState.Leads)
            Lead();
        Check.That(request.State == RequestState.Done);
        _waitPoints.Push(request.Wait);
        request.Failure?.Throw();
    }

    private void Lead()
    {
        List<Request> batch = [];
        try
        {
            using WriteTransaction transaction = store.BeginWrite();
            AwaitOthers();
            Take(batch);
            CommitAll(transaction, batch);
        }
        catch (Exception exception)
        {
            // The leader itself is among them, so that the failure reaches its caller too.
            if (batch.Count == 0)
                Take(batch);
            foreach (Request request in batch)
                request.Failure ??= ExceptionDispatchInfo.Capture(exception);
        }

        _lastBatch = batch.Count;
        Request? next = null;
        lock (_lock)
        {
            if (!_waiting.TryPeek(out next))
                _hasLeader = false;
        }

        foreach (Request request in batch)
            request.Become(RequestState.Done);
        next?.Become(RequestState.Leads);
    }

    /// <summary>
    /// Those that the last commit has just woken are about to come back: where they were many, they get a turn each before this
    /// one begins, or each would begin with the few that were awake first.
    /// </summary>
    private void AwaitOthers()
    {
        int seen = 0;
        for (int quiet = 0; quiet < QuietTurns;)
        {
            int waiting;
            lock (_lock)
                waiting = _waiting.Count;
            if (waiting >= Math.Min(_lastBatch, store.Options.BatchMax))
                return;
            quiet = waiting > seen ? 0 : quiet + 1;
            seen = waiting;
            scheduler.Yield();
        }
    }

    private void Take(List<Request> batch)
    {
        lock (_lock)
        {
            while (batch.Count < store.Options.BatchMax && _waiting.TryDequeue(out Request? request))
                batch.Add(request);
        }
    }

    /// <summary>Leaves those out that throw, one after the other, until a run of all the others has come to its end.</summary>
    private void CommitAll(WriteTransaction first, List<Request> batch)
    {
        WriteTransaction transaction = first;
        List<Request> left = [.. batch];
        while (true)
        {
            Request? thrower = null;
            foreach (Request request in left)
            {
                try
                {
                    request.Action(transaction);
                }
                catch (Exception exception)
                {
                    request.Failure = ExceptionDispatchInfo.Capture(exception);
                    thrower = request;
                    break;
                }
            }

            if (thrower is null)
            {
                transaction.Commit();
                return;
            }

            left.Remove(thrower);
            transaction.Dispose();
            if (left.Count == 0)
                return;
            transaction = store.BeginWrite();
        }
    }

    private enum RequestState
    {
        Waits,
        Leads,
        Done,
    }

    private sealed class Request(Action<WriteTransaction> action, IWaitPoint wait)
    {
        private int _state;

        public Action<WriteTransaction> Action { get; } = action;

        public IWaitPoint Wait { get; } = wait;

        public ExceptionDispatchInfo? Failure { get; set; }

        public RequestState State
        {
            get => (RequestState)Volatile.Read(ref _state);
            set => Volatile.Write(ref _state, (int)value);
        }

        public void Become(RequestState state)
        {
            State = state;
            Wait.Pulse();
        }
    }
}
