using System.Runtime.ExceptionServices;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.BTree.Batches;

/// <summary>The request of a thread, which sleeps until it is done or is to lead.</summary>
internal sealed class ThreadRequest : BatchRequest
{
    private readonly IWaitPoint _wait;
    private readonly Func<bool> _isAwake;
    private bool _leads;
    private bool _isDone;

    public ThreadRequest(IWaitPoint wait)
    {
        _wait = wait;
        _isAwake = () => Leads || IsDone;
    }

    public bool Leads
    {
        get => Volatile.Read(ref _leads);
        set => Volatile.Write(ref _leads, value);
    }

    public bool IsDone => Volatile.Read(ref _isDone);

    public void Begin(Action<WriteTransaction> action)
    {
        Start(action);
        _leads = _isDone = false;
    }

    public void Await() => _wait.WaitUntil(_isAwake);

    public void Lead()
    {
        Leads = true;
        _wait.Pulse();
    }

    public override void Complete()
    {
        Volatile.Write(ref _isDone, true);
        _wait.Pulse();
    }

    public ExceptionDispatchInfo? End()
    {
        ExceptionDispatchInfo? failure = Failure;
        Finish();
        return failure;
    }
}
