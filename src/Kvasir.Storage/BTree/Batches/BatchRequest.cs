using System.Runtime.ExceptionServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Batches;

/// <summary>A small transaction that waits for its commit. Used again and again, for one caller after the other.</summary>
internal abstract class BatchRequest
{
    private Action<WriteTransaction>? _action;

    public Action<WriteTransaction> Action => _action!;

    /// <summary>Why it has not happened.</summary>
    public ExceptionDispatchInfo? Failure { get; set; }

    /// <summary>Neighbours in the queue, which alone changes them.</summary>
    internal BatchRequest? Previous { get; set; }

    /// <inheritdoc cref="Previous"/>
    internal BatchRequest? Next { get; set; }

    internal bool IsQueued { get; set; }

    /// <summary>Its commit, or what became of it, is told to the caller, to whom the request belongs from here on.</summary>
    public abstract void Complete();

    protected void Start(Action<WriteTransaction> action)
    {
        Check.That(_action is null && !IsQueued);
        _action = action;
        Failure = null;
    }

    /// <summary>Holds nothing of its caller any more.</summary>
    protected void Finish()
    {
        Check.That(!IsQueued);
        _action = null;
        Failure = null;
    }
}
