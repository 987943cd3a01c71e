namespace Kvasir.Simulation.Histories;

/// <summary>What a line of a history says of an operation.</summary>
public enum EventKind : byte
{
    /// <summary>A client asked for it.</summary>
    Invoke,

    /// <summary>It took effect, between the invocation and here.</summary>
    Ok,

    /// <summary>It did not take effect and never will.</summary>
    Fail,

    /// <summary>Nobody knows: it may take effect at any time after the invocation, however late, or never.</summary>
    Info,
}

/// <summary>What clients do to a key. What the values mean stands with each.</summary>
public enum OperationKind : byte
{
    /// <summary>Asks nothing, returns the value; nil is absent.</summary>
    Read,

    /// <summary>Asks for a value to be there.</summary>
    Write,

    /// <summary>Asks [expected new]; returns 0 when it compared and refused, else it exchanged.</summary>
    CompareAndSet,

    /// <summary>Asks for an amount (nil is 1); returns the new value, or nil when it does not say.</summary>
    Increment,

    /// <summary>Asks for an element at the end of a list; returns the new length, or nil when it does not say.</summary>
    Append,

    /// <summary>Asks for a value; returns 1 when it was set, 0 when something was there, nil when it does not say.</summary>
    SetIfAbsent,

    /// <summary>Returns 1 when something was there, 0 when nothing was, nil when it does not say.</summary>
    Delete,

    /// <summary>Asks [from to amount] inside one bank.</summary>
    Transfer,

    /// <summary>Asks for a value to be there; returns what was there before, nil for nothing.</summary>
    Exchange,
}

/// <summary>
/// One line of a history. The order of the lines is the order of time: an operation that ended on an earlier line than
/// another began on came before it.
/// </summary>
/// <param name="Process">One client, that does one thing at a time.</param>
/// <param name="Kind">Whether it begins here or how it ended.</param>
/// <param name="Operation">What it does.</param>
/// <param name="Key">What it does it to.</param>
/// <param name="Value">What it asked for, at the invocation; what it was answered, at the end.</param>
/// <param name="TimeNs">Nanoseconds since any fixed moment.</param>
/// <param name="AgeNs">A read that may be stale, at its end: how old it says that it is at most. Null: not stale.</param>
public readonly record struct HistoryEvent(
    int Process, EventKind Kind, OperationKind Operation, string Key, HistoryValue Value, long TimeNs, long? AgeNs = null);
