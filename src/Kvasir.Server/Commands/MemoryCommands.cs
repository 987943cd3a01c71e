using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>MEMORY.</summary>
internal static class MemoryCommands
{
    private const int EntryOverheadBytes = 48;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "memory", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("usage", -3, CommandFlags.ReadOnly, Usage, 2),
                Sub("doctor", 2, CommandFlags.None, static c => c.Reply.Verbatim("Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n")),
                Sub("stats", 2, CommandFlags.None, Stats),
                Sub("malloc-stats", 2, CommandFlags.None, static c => c.Reply.Verbatim("Stats not supported for the current allocator")),
                Sub("purge", 2, CommandFlags.None, Purge),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler, int key = 0) =>
        new()
        {
            Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server",
            FirstKey = key, LastKey = key, KeyStep = key == 0 ? 0 : 1,
        };

    private static void Usage(CommandContext context)
    {
        for (int i = 3; i < context.ArgumentCount; i += 2)
        {
            if (!Ascii.EqualsIgnoreCase(context.Argument(i), "samples"u8) || i + 1 >= context.ArgumentCount)
            {
                context.Reply.Error("ERR syntax error");
                return;
            }

            if (!RespRequestParser.TryNumber(context.Argument(i + 1), out long samples))
            {
                context.Reply.Error("ERR value is not an integer or out of range");
                return;
            }

            if (samples < 0)
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        ReadOnlySpan<byte> key = context.Argument(2);
        EntryInfo info = context.Execution.Get(context.Database, key, value: null);
        if (!info.Found)
        {
            context.Reply.Null();
            return;
        }

        context.Reply.Integer(EntryOverheadBytes + key.Length + info.ValueLength);
    }

    private static void Stats(CommandContext context)
    {
        long engines = context.Node.Memory.WriteBytes + context.Node.Memory.SpareBytes + context.Node.Memory.CacheBytes;
        long managed = GC.GetTotalMemory(forceFullCollection: false);
        (string Name, long Value)[] rows =
        [
            ("peak.allocated", managed + engines), ("total.allocated", managed + engines), ("startup.allocated", 0),
            ("replication.backlog", 0), ("clients.slaves", 0),
            ("clients.normal", context.Server.Clients.All.Sum(SessionMemory.Of)),
            ("cluster.links", 0), ("aof.buffer", 0), ("lua.caches", 0), ("functions.caches", 0), ("overhead.total", managed),
            ("keys.count", 0), ("keys.bytes-per-key", 0), ("dataset.bytes", engines),
        ];
        context.Reply.MapHeader(rows.Length);
        foreach ((string name, long value) in rows)
        {
            context.Reply.BulkString(name);
            context.Reply.Integer(value);
        }
    }

    private static void Purge(CommandContext context)
    {
        GC.Collect();
        context.Reply.Ok();
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).");
}
