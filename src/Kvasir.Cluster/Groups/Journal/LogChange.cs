using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

[Flags]
internal enum LogChangeKinds
{
    None = 0,

    /// <summary>The replica is another one from here on: founded here, or joined.</summary>
    Begins = 1,

    /// <summary>The replica was removed.</summary>
    Ends = 2,

    /// <summary>A snapshot took the place of the log.</summary>
    Resets = 4,
}

/// <summary>What one record, or several that follow each other, did to one log.</summary>
/// <param name="Position">Of the last record; the largest number when it was not written.</param>
/// <param name="Kinds">What happened to the log as a whole.</param>
/// <param name="From">The lowest index that was cut off or written since; the largest number where none was.</param>
/// <param name="Last">Where the log ends behind it.</param>
/// <param name="Generation">Whose log it is behind it.</param>
internal readonly record struct LogChange(LogPosition Position, LogChangeKinds Kinds, LogIndex From, LogIndex Last, uint Generation)
{
    public bool Is(LogChangeKinds kinds) => (Kinds & kinds) != 0;

    /// <summary>Both, this one first.</summary>
    public LogChange Then(in LogChange next)
    {
        bool isOver = next.Is(LogChangeKinds.Begins | LogChangeKinds.Ends);
        return next with
        {
            Kinds = (isOver ? Kinds & ~LogChangeKinds.Resets : Kinds) | next.Kinds,
            From = next.Kinds != LogChangeKinds.None ? next.From : LogIndex.Least(From, next.From),
        };
    }
}

/// <summary>
/// How a log stands on the disk, and what was written of it behind that: what must be written again when a full disk has
/// dropped it.
/// </summary>
internal sealed class LogOnDisk
{
    // Written, in the order of their positions.
    private readonly Queue<LogChange> _changes = new();

    // Everything since the journal stopped.
    private LogChange? _refused;

    /// <summary>There is a trace of it.</summary>
    public bool Exists { get; private set; }

    public bool IsRemoved { get; private set; }

    public LogIndex Last { get; private set; }

    public uint Generation { get; private set; }

    /// <summary>As it was found.</summary>
    public void Recovered(GroupLog log) => (Exists, IsRemoved, Last, Generation) = (true, log.IsRemoved, log.LastIndex, log.Generation);

    /// <summary>A record was written, or was refused; what is durable up to here counts as there.</summary>
    public void Changed(in LogChange change, LogPosition durable)
    {
        Settle(durable);
        if (change.Position == LogPosition.Max)
            _refused = _refused?.Then(change) ?? change;
        else
            _changes.Enqueue(change);
    }

    /// <summary>What was not durable when the journal stopped, as one change; none: all of it is there.</summary>
    public LogChange? TakeLost(LogPosition durable)
    {
        Settle(durable);
        LogChange? lost = null;
        while (_changes.TryDequeue(out LogChange change))
            lost = lost?.Then(change) ?? change;
        if (_refused is { } refused)
            lost = lost?.Then(refused) ?? refused;
        _refused = null;
        return lost;
    }

    private void Settle(LogPosition durable)
    {
        while (_changes.TryPeek(out LogChange change) && change.Position <= durable)
        {
            _changes.Dequeue();
            Exists = true;
            (Last, Generation) = (change.Last, change.Generation);

            // A record that has both ends one life and begins the next.
            if (change.Is(LogChangeKinds.Begins))
                IsRemoved = false;
            else if (change.Is(LogChangeKinds.Ends))
                IsRemoved = true;
        }
    }
}
