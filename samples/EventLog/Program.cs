using System.Globalization;
using Kvasir.Samples.EventLog;

// An event log:  dotnet run --project samples/EventLog -- ./events append orders '{"placed":7}'
using var log = new EventJournal(args.Length > 0 ? args[0] : "./events");
switch (args)
{
    case [_, "append", string stream, .. string[] events] when events.Length > 0:
        Console.WriteLine(log.Append(stream, events));
        return 0;
    case [_, "read", string stream]:
        Print(stream, 0);
        return 0;
    case [_, "read", string stream, string from] when Number(from) is { } first:
        Print(stream, first);
        return 0;
    case [_, "drop-before", string stream, string number] when Number(number) is { } first:
        log.DropBefore(stream, first);
        return 0;
    default:
        Console.Error.WriteLine("usage: FOLDER append STREAM EVENT... | FOLDER read STREAM [FROM] | FOLDER drop-before STREAM NUMBER");
        return 2;
}

long? Number(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;

void Print(string stream, long first)
{
    foreach ((long number, string text) in log.Read(stream, first))
        Console.WriteLine($"{number} {text}");
}
