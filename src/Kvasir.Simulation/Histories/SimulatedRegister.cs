using Kvasir.Primitives;

namespace Kvasir.Simulation.Histories;

/// <summary>
/// Makes histories that are linearizable because one register made them: each operation takes effect at one moment of its
/// own between its beginning and its end, or, when its outcome is unknown, at any later one or never.
/// </summary>
public static class SimulatedRegister
{
    /// <param name="seed">Who does what, and when.</param>
    /// <param name="operations">How many are begun.</param>
    /// <param name="clients">How many there are at once.</param>
    /// <param name="unknownOneIn">One end in so many is unknown; zero for none.</param>
    /// <param name="values">So few values are written again and again; zero writes each once.</param>
    /// <param name="cas">Some compare and set.</param>
    public static List<HistoryEvent> Run(ulong seed, int operations, int clients, int unknownOneIn = 0, int values = 0, bool cas = true)
    {
        var random = new SeededRandom(seed);
        List<HistoryEvent> events = [];
        var state = HistoryValue.Nil;
        var open = new (OperationKind Kind, HistoryValue Argument, bool Applied, HistoryValue Result)?[clients];
        int[] processes = [.. Enumerable.Range(0, clients)];
        List<(OperationKind Kind, HistoryValue Argument)> doubtful = [];
        long begun = 0, time = 0;
        while (begun < operations || Array.Exists(open, o => o is not null))
        {
            time += random.Next(1000);
            if (doubtful.Count > 0 && random.OneIn(20))
            {
                int late = random.Next(doubtful.Count);
                Apply(doubtful[late].Kind, doubtful[late].Argument, ref state);
                doubtful.RemoveAt(late);
            }

            int client = random.Next(clients);
            if (open[client] is not { } operation)
            {
                if (begun == operations)
                    continue;
                begun++;
                HistoryValue value = HistoryValue.Of(values > 0 ? random.Next(values) : begun);
                (OperationKind Kind, HistoryValue Argument) drawn = random.Next(cas ? 10 : 9) switch
                {
                    < 5 => (OperationKind.Read, HistoryValue.Nil),
                    < 9 => (OperationKind.Write, value),
                    _ => (OperationKind.CompareAndSet, HistoryValue.Of(random.OneIn(3) ? HistoryValue.Of(random.Next(5)) : state, value)),
                };
                open[client] = (drawn.Kind, drawn.Argument, false, default);
                events.Add(new HistoryEvent(processes[client], EventKind.Invoke, drawn.Kind, "x", drawn.Argument, time));
            }
            else if (unknownOneIn > 0 && random.OneIn(unknownOneIn))
            {
                if (!operation.Applied && random.OneIn(2))
                    doubtful.Add((operation.Kind, operation.Argument));
                events.Add(new HistoryEvent(processes[client], EventKind.Info, operation.Kind, "x", default, time));
                processes[client] += clients;
                open[client] = null;
            }
            else if (!operation.Applied)
            {
                open[client] = operation with { Applied = true, Result = Apply(operation.Kind, operation.Argument, ref state) };
            }
            else
            {
                events.Add(new HistoryEvent(processes[client], EventKind.Ok, operation.Kind, "x", operation.Result, time));
                open[client] = null;
            }
        }

        return events;
    }

    private static HistoryValue Apply(OperationKind kind, HistoryValue argument, ref HistoryValue state)
    {
        switch (kind)
        {
            case OperationKind.Read:
                return state;
            case OperationKind.Write:
                state = argument;
                return default;
            default:
                if (state != argument.List[0])
                    return HistoryValue.Of(0);
                state = argument.List[1];
                return HistoryValue.Of(1);
        }
    }
}
