using System.Globalization;

namespace Kvasir.Simulation.Histories;

/// <summary>An operation from its invocation to its end.</summary>
public sealed record HistoryOperation
{
    public required int Process { get; init; }

    public required OperationKind Kind { get; init; }

    public required string Key { get; init; }

    /// <summary>What was asked for.</summary>
    public required HistoryValue Argument { get; init; }

    /// <summary>What was answered; nil when it did not end well.</summary>
    public HistoryValue Result { get; init; }

    /// <summary>Ok, or info. What failed has not happened and is no operation.</summary>
    public required EventKind Outcome { get; init; }

    /// <summary>Where in the history it began, counted from zero.</summary>
    public required int Begin { get; init; }

    /// <summary>Where it ended; <see cref="int.MaxValue"/> when it did not, for all that is known.</summary>
    public int End { get; init; } = int.MaxValue;

    public long BeginNs { get; init; }

    public long EndNs { get; init; } = long.MaxValue;

    public long? AgeNs { get; init; }

    public bool IsCertain => Outcome == EventKind.Ok;

    /// <summary>
    /// The operations of a history in the order of their invocations; what failed is left out. Throws where a process
    /// ends what it did not begin, or begins twice.
    /// </summary>
    public static List<HistoryOperation> Pair(IReadOnlyList<HistoryEvent> events)
    {
        var operations = new List<HistoryOperation?>();
        var open = new Dictionary<int, int>();
        for (int i = 0; i < events.Count; i++)
        {
            HistoryEvent e = events[i];
            if (e.Kind == EventKind.Invoke)
            {
                if (!open.TryAdd(e.Process, operations.Count))
                    throw new HistoryFormatException(i + 1, $"process {e.Process} begins an operation while another is open");
                operations.Add(new HistoryOperation
                {
                    Process = e.Process,
                    Kind = e.Operation,
                    Key = e.Key,
                    Argument = e.Value,
                    Outcome = EventKind.Info,
                    Begin = i,
                    BeginNs = e.TimeNs,
                });
                continue;
            }

            if (!open.Remove(e.Process, out int at))
            {
                // Jepsen's processes may note an info that belongs to nothing.
                if (e.Kind == EventKind.Info)
                    continue;
                throw new HistoryFormatException(i + 1, $"process {e.Process} ends an operation that it did not begin");
            }

            HistoryOperation begun = operations[at]!;
            if (begun.Kind != e.Operation || begun.Key != e.Key)
                throw new HistoryFormatException(i + 1, $"process {e.Process} ends another operation than it began");
            operations[at] = e.Kind switch
            {
                EventKind.Ok => begun with { Outcome = EventKind.Ok, Result = e.Value, End = i, EndNs = e.TimeNs, AgeNs = e.AgeNs },
                EventKind.Fail => null,
                _ => begun,
            };
        }

        return [.. operations.OfType<HistoryOperation>()];
    }

    /// <summary>For a person: <c>process 3: write 5, 1.250 ms to 2.500 ms</c>.</summary>
    public override string ToString()
    {
        string what = Kind switch
        {
            OperationKind.Read => IsCertain ? $"read -> {Result}" : "read",
            _ => $"{HistoryWords.Of(Kind)}{(Argument.IsNil ? "" : " " + Argument)}{(IsCertain && !Result.IsNil && Result != Argument ? $" -> {Result}" : "")}",
        };
        string end = IsCertain ? Milliseconds(EndNs) : "outcome unknown";
        string age = AgeNs is { } ns ? $", at most {Milliseconds(ns)} old" : "";
        return string.Create(CultureInfo.InvariantCulture, $"process {Process}: {what}, {Milliseconds(BeginNs)} to {end}{age}");
    }

    private static string Milliseconds(long ns) => string.Create(CultureInfo.InvariantCulture, $"{ns / 1e6:F3} ms");
}
