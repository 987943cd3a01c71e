using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Batches;

/// <summary>Requests in the order in which they came; each can leave from anywhere. Its owner locks.</summary>
internal sealed class RequestQueue
{
    private BatchRequest? _last;

    public BatchRequest? First { get; private set; }

    public void Add(BatchRequest request)
    {
        Check.That(!request.IsQueued);
        request.IsQueued = true;
        request.Previous = _last;
        if (_last is null)
            First = request;
        else
            _last.Next = request;
        _last = request;
    }

    public BatchRequest? TryTake()
    {
        BatchRequest? first = First;
        if (first is not null)
            TryRemove(first);
        return first;
    }

    public bool TryRemove(BatchRequest request)
    {
        if (!request.IsQueued)
            return false;
        if (request.Previous is { } previous)
            previous.Next = request.Next;
        else
            First = request.Next;
        if (request.Next is { } next)
            next.Previous = request.Previous;
        else
            _last = request.Previous;
        request.Previous = request.Next = null;
        request.IsQueued = false;
        return true;
    }
}
