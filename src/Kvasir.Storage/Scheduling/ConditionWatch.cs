using System.Diagnostics.CodeAnalysis;

namespace Kvasir.Storage.Scheduling;

/// <summary>
/// Calls whom a condition is waited for by, once it holds, on the thread of whoever made it hold: for those that must not block as at
/// an <see cref="IWaitPoint"/>. Thread-safe.
/// </summary>
internal sealed class ConditionWatch
{
    private readonly Lock _lock = new();
    private readonly List<(Func<bool> Condition, Action Then)> _watched = [];

    /// <summary>At once, where it holds already.</summary>
    /// <param name="condition">Takes no lock, and does not throw.</param>
    /// <param name="then">Takes no lock of the engine.</param>
    public void When(Func<bool> condition, Action then)
    {
        lock (_lock)
            _watched.Add((condition, then));
        Look();
    }

    /// <summary>Something was done that may make a condition hold.</summary>
    public void Look()
    {
        while (TryTake(out Action? then))
            then();
    }

    private bool TryTake([NotNullWhen(true)] out Action? then)
    {
        lock (_lock)
        {
            int due = _watched.FindIndex(static w => w.Condition());
            then = due < 0 ? null : _watched[due].Then;
            if (due >= 0)
                _watched.RemoveAt(due);
            return due >= 0;
        }
    }
}
