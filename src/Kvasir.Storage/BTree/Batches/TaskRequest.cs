using System.Threading.Tasks.Sources;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Batches;

/// <summary>The request of a task. Whoever awaits it goes on elsewhere: never on the thread that commits, nor on one that cancels.</summary>
internal sealed class TaskRequest(GroupCommit group) : BatchRequest, IValueTaskSource
{
    // Changed in place.
    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _registration;

    public void Begin(Action<WriteTransaction> action) => Start(action);

    /// <summary>The caller's task. The request may be done by the time that this returns, but is not used for another one before the task is looked at.</summary>
    public ValueTask Register(CancellationToken cancellation)
    {
        short version = _source.Version;
        _registration = cancellation.UnsafeRegister(static (state, token) => ((TaskRequest)state!).Cancel(token), this);
        return new ValueTask(this, version);
    }

    public override void Complete()
    {
        if (Failure is { } failure)
            _source.SetException(failure.SourceException);
        else
            _source.SetResult(true);
    }

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    public void GetResult(short token)
    {
        if (GetStatus(token) == ValueTaskSourceStatus.Pending)
            throw new InvalidOperationException("the batch is not committed yet: await the task");
        try
        {
            _source.GetResult(token);
        }
        finally
        {
            // After this no cancellation of this use is under way any more, so none can meet the next.
            _registration.Dispose();
            _registration = default;
            Finish();
            _source.Reset();
            group.Recycle(this);
        }
    }

    private void Cancel(CancellationToken cancellation)
    {
        if (group.TryWithdraw(this))
            _source.SetException(new OperationCanceledException(cancellation));
    }
}
