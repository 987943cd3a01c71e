using System.Globalization;
using Kvasir.Samples.EventLog;

// An event log:  dotnet run --project samples/EventLog -- ./events append orders '{"placed":7}'
using var log = new EventJournal(args.Length > 0 ? args[0] : "./events");
switch (args)
{
    case [_, "append", string stream, .. string[] events] when events.Length > 0:
        Console.WriteLine(log.Append(stream, events));
        return 0;
    case [_, "read", string stream, .. string[] from] when from.Length <= 1:
        foreach ((long number, string text) in log.Read(stream, from.Length == 1 ? long.Parse(from[0], CultureInfo.InvariantCulture) : 0))
            Console.WriteLine($"{number} {text}");
        return 0;
    case [_, "drop-before", string stream, string number]:
        log.DropBefore(stream, long.Parse(number, CultureInfo.InvariantCulture));
        return 0;
    default:
        Console.Error.WriteLine("usage: FOLDER append STREAM EVENT... | FOLDER read STREAM [FROM] | FOLDER drop-before STREAM NUMBER");
        return 2;
}
