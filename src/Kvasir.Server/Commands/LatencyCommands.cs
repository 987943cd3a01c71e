using System.Globalization;
using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>LATENCY.</summary>
internal static class LatencyCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "latency", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("latest", 2, Administrating, Latest),
                Sub("history", 3, Administrating, History),
                Sub("reset", -2, Administrating, Reset),
                Sub("doctor", 2, Administrating, Doctor),
                Sub("graph", 3, Administrating, Graph),
                Sub("histogram", -2, Administrating, Histogram),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
            ],
        },
    ];

    private static CommandDefinition Sub(
        string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server" };

    private static void Latest(CommandContext context)
    {
        LatencyMonitor monitor = context.Server.Latency;
        context.Reply.ArrayHeader(monitor.Series.Count);
        foreach ((string name, LatencySeries series) in monitor.Series)
        {
            context.Reply.ArrayHeader(4);
            context.Reply.BulkString(name);
            context.Reply.Integer(series.Samples[^1].UnixSeconds);
            context.Reply.Integer(series.Samples[^1].Milliseconds);
            context.Reply.Integer(series.MaxMs);
        }
    }

    private static void History(CommandContext context)
    {
        string name = Encoding.UTF8.GetString(context.Argument(2));
        if (!context.Server.Latency.Series.TryGetValue(name, out LatencySeries? series))
        {
            context.Reply.ArrayHeader(0);
            return;
        }

        context.Reply.ArrayHeader(series.Samples.Count);
        foreach ((long seconds, long milliseconds) in series.Samples)
        {
            context.Reply.ArrayHeader(2);
            context.Reply.Integer(seconds);
            context.Reply.Integer(milliseconds);
        }
    }

    private static void Reset(CommandContext context)
    {
        int count = 0;
        if (context.ArgumentCount == 2)
            count = context.Server.Latency.ResetAll();
        for (int i = 2; i < context.ArgumentCount; i++)
            count += context.Server.Latency.Reset(Encoding.UTF8.GetString(context.Argument(i)));
        context.Reply.Integer(count);
    }

    private static void Doctor(CommandContext context)
    {
        LatencyMonitor monitor = context.Server.Latency;
        if (monitor.Series.Count == 0)
        {
            context.Reply.Verbatim(monitor.ThresholdMs == 0
                ? "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n"
                : "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n");
            return;
        }

        StringBuilder text = new("Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you Dave?\n\n");
        int number = 1;
        foreach ((string name, LatencySeries series) in monitor.Series)
        {
            double average = series.Samples.Average(static s => (double)s.Milliseconds);
            text.Append(CultureInfo.InvariantCulture, $"{number++}. {name}: {series.Samples.Count} latency spikes (average {average:F0}ms, worst all time event {series.MaxMs}ms).\n");
        }

        context.Reply.Verbatim(text.ToString());
    }

    private static void Graph(CommandContext context)
    {
        string name = Encoding.UTF8.GetString(context.Argument(2));
        if (!context.Server.Latency.Series.TryGetValue(name, out LatencySeries? series))
        {
            context.Reply.Error($"ERR No samples available for event '{name}'");
            return;
        }

        long low = series.Samples.Min(static s => s.Milliseconds);
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{name} - high {series.MaxMs} ms, low {low} ms (all time high {series.MaxMs} ms)\n");
        text.Append('-', 80).Append('\n');
        foreach ((long _, long milliseconds) in series.Samples)
            text.Append(milliseconds * 2 > series.MaxMs ? '#' : '_');
        context.Reply.Verbatim(text.Append('\n').ToString());
    }

    private static void Histogram(CommandContext context)
    {
        List<CommandEntry> entries = [];
        if (context.ArgumentCount == 2)
            entries.AddRange(context.Server.Commands.AllWithSubcommands);
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> name = context.Argument(i);
            int bar = name.IndexOf((byte)'|');
            CommandEntry? entry = context.Server.Commands.Find(bar < 0 ? name : name[..bar]);
            if (bar >= 0)
                entry = entry?.Subcommands?.Find(name[(bar + 1)..]);
            if (entry is null)
                continue;
            entries.Add(entry);
            if (entry.Subcommands is not null)
                entries.AddRange(entry.Subcommands.All);
        }

        entries.RemoveAll(static e => e.Counters.Calls == 0);
        context.Reply.MapHeader(entries.Count);
        foreach (CommandEntry entry in entries)
            WriteHistogram(context.Reply, entry);
    }

    private static void WriteHistogram(RespWriter reply, CommandEntry entry)
    {
        reply.BulkString(entry.FullNameBytes);
        reply.MapHeader(2);
        reply.BulkString("calls"u8);
        reply.Integer(entry.Counters.Calls);
        reply.BulkString("histogram_usec"u8);
        ReadOnlySpan<long> buckets = entry.Counters.Buckets;
        int filled = 0;
        foreach (long bucket in buckets)
            filled += bucket == 0 ? 0 : 1;
        reply.MapHeader(filled);
        long sum = 0;
        for (int i = 0; i < buckets.Length; i++)
        {
            if (buckets[i] == 0)
                continue;
            sum += buckets[i];
            reply.Integer(1L << i);
            reply.Integer(sum);
        }
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
        "    If no commands are specified then all histograms are replied.");
}
