using System.Collections.Concurrent;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// Serialises the work of the replicas that share it: at any moment at most one thread runs an item, and inside it there
/// are no locks. Whoever posts to an idle mailbox becomes its thread, so an uncontended post costs two interlocked
/// operations and no hop; a post to a busy one is queued and run by the thread that is there ("flat combining",
/// Hendler, Incze, Shavit and Tzafrir 2010). Thread-safe.
/// </summary>
public sealed class ReplicaMailbox
{
    // What a thread runs of others' work that has something else to do.
    private const int BriefItemsMax = 16;

    private readonly ConcurrentQueue<IMailboxItem> _queue = new();
    private readonly Execution _execution = new();
    private readonly Action? _itemEnded;

    // Items posted and not finished. The thread that moves it from 0 owns the mailbox until it is 0 again.
    private int _pending;

    /// <param name="itemEnded">Called behind each item, still inside the mailbox: for what is done once for all that it did.</param>
    public ReplicaMailbox(Action? itemEnded = null) => _itemEnded = itemEnded;

    /// <inheritdoc cref="Execution.PublishedUpTo"/>
    internal LogPosition PublishedUpTo => _execution.PublishedUpTo;

    /// <summary>An item runs, or waits: what is posted now may be run later. Any thread.</summary>
    public bool IsBusy => Volatile.Read(ref _pending) != 0;

    /// <summary>Runs <paramref name="item"/> before returning if the mailbox is idle; else it is run soon by another thread.</summary>
    public void Post(IMailboxItem item)
    {
        if (Interlocked.CompareExchange(ref _pending, 1, 0) == 0)
        {
            Run(item);
            if (Interlocked.Decrement(ref _pending) != 0)
                Drain();
            return;
        }

        _queue.Enqueue(item);
        if (Interlocked.Increment(ref _pending) == 1)
            Drain();
    }

    /// <summary>
    /// As <see cref="Post"/>, for a thread that has something else to do and must not be kept for as long as others go on posting: when
    /// much waits behind the item, <paramref name="elsewhere"/> has another thread call <see cref="RunWaiting"/>.
    /// </summary>
    public void PostBriefly(IMailboxItem item, Action elsewhere)
    {
        _queue.Enqueue(item);
        if (Interlocked.Increment(ref _pending) == 1 && !Drain(BriefItemsMax))
            elsewhere();
    }

    /// <summary>For the thread that <see cref="PostBriefly"/> asked for, once each time.</summary>
    public void RunWaiting() => Drain();

    private void Drain()
    {
        bool isEmpty;
        do
            isEmpty = Drain(int.MaxValue);
        while (!isEmpty);
    }

    /// <summary>False when so many were run and others wait: the mailbox is still this thread's, to pass on.</summary>
    private bool Drain(int itemsMax)
    {
        do
        {
            if (itemsMax-- == 0)
                return false;

            // The count is raised after the enqueue, so a counted item is always in the queue.
            IMailboxItem? item;
            SpinWait spin = default;
            while (!_queue.TryDequeue(out item))
                spin.SpinOnce(sleep1Threshold: -1);
            Run(item);
        }
        while (Interlocked.Decrement(ref _pending) != 0);
        return true;
    }

    private void Run(IMailboxItem item)
    {
        try
        {
            item.Run(_execution);
        }
        finally
        {
            _execution.EndItem();
        }

        _itemEnded?.Invoke();
    }
}

/// <summary>Work that needs a replica to itself. May be run on any thread; must not block on other mailbox work.</summary>
public interface IMailboxItem
{
    /// <summary>Must not throw: an exception here is a defect that stops the node.</summary>
    void Run(Execution execution);
}
