using System.Globalization;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

/// <summary>
/// Histories of one key as people draw them: <c>w 1 0-10; r 1 5-12; w 2 3-?</c>, each operation a process of its own, from
/// one moment to another, <c>?</c> for an outcome that nobody knows. An arrow before what was answered: <c>incr 1>5 0-3</c>.
/// </summary>
internal static class Timeline
{
    public static List<HistoryEvent> Parse(string text)
    {
        List<(HistoryEvent Event, long Order)> events = [];
        foreach (string part in text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = part.Split(' ');
            string name = words[0];
            string[] times = words[^1].Split('-');
            string content = words.Length == 3 ? words[1] : "nil";
            string[] sides = content.Split('>');
            OperationKind kind = name switch
            {
                "r" => OperationKind.Read,
                "w" => OperationKind.Write,
                "cas" => OperationKind.CompareAndSet,
                "xchg" => OperationKind.Exchange,
                "incr" => OperationKind.Increment,
                "app" => OperationKind.Append,
                "nx" => OperationKind.SetIfAbsent,
                "del" => OperationKind.Delete,
                _ => throw new ArgumentException(part),
            };
            HistoryValue argument = kind == OperationKind.Read ? default : Value(sides[0]);
            HistoryValue result = kind == OperationKind.Read ? Value(sides[0]) : sides.Length > 1 ? Value(sides[1]) : default;
            string[] end = times[1].Split('@');
            long? age = end.Length > 1 ? long.Parse(end[1], CultureInfo.InvariantCulture) : null;
            int process = events.Count;
            long begin = long.Parse(times[0], CultureInfo.InvariantCulture);
            events.Add((new HistoryEvent(process, EventKind.Invoke, kind, "x", argument, begin), 2 * begin));
            if (end[0] == "?")
                continue;
            long ended = long.Parse(end[0], CultureInfo.InvariantCulture);
            events.Add((new HistoryEvent(process, EventKind.Ok, kind, "x", result, ended, age), (2 * ended) + 1));
        }

        return [.. events.OrderBy(e => e.Order).Select(e => e.Event)];
    }

    private static HistoryValue Value(string text) => text switch
    {
        "nil" => HistoryValue.Nil,
        "[]" => HistoryValue.Of([]),
        ['[', .., ']'] => HistoryValue.Of([.. text[1..^1].Split(',').Select(Value)]),
        _ when long.TryParse(text, CultureInfo.InvariantCulture, out long number) => HistoryValue.Of(number),
        _ => HistoryValue.Of(text),
    };
}
