namespace Kvasir.Server.Sessions;

/// <summary>
/// Connections of clients that are open, whichever way they came. Each holds a file of the process from its accept on, so it
/// counts from there, before it has said anything or shaken hands. Thread-safe.
/// </summary>
internal sealed class OpenConnections(ConnectionLimits limits)
{
    private int _count;

    public int Count => Volatile.Read(ref _count);

    /// <summary>False when there are as many as may be.</summary>
    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _count) <= limits.ClientsMax)
            return true;
        Leave();
        return false;
    }

    /// <summary>One that had entered is closed, and its file with it.</summary>
    public void Leave() => Interlocked.Decrement(ref _count);
}
