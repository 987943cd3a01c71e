using System.CommandLine;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Bench.Engines;

/// <summary><c>kvasir bench engine</c>: a storage engine with its journal, driven inside this process.</summary>
internal static class EngineBenchCommand
{
    private static readonly string[] s_names = [.. Enum.GetValues<EngineWorkload>().Select(EngineBenchRun.Name)];

    public static Command Create()
    {
        Option<string> engine = CommandFlag.OneOf("--engine", "The engine.", "lsm", "lsm", "log", "btree");
        var workloads = new Option<EngineWorkload[]>("--workload")
        {
            HelpName = string.Join('|', s_names),
            Description = "What to do; several, separated by commas, run one after the other on the same store.",
            Required = true,
            CustomParser = result => Parse(result),
        };
        Option<long> keys = CommandFlag.Count("--keys", "N", "Size of the key space; each thread does as many operations.", 1_000_000);
        Option<int> keySize = CommandFlag.Number("--key-size", "BYTES", "A big-endian number, padded.", 16, 8, 65_535);
        Option<int> valueSize = CommandFlag.Number("--value-size", "BYTES", "Values are half compressible.", 100, 0, 64 << 20);
        Option<int> threads = CommandFlag.Number("--threads", "N", "Threads that work at once.", 1, 1, 1024);
        Option<int> batch = CommandFlag.Number("--batch", "N", "Mutations in one atomic write.", 1, 1, 1_000_000);
        Option<bool> sync = CommandFlag.Switch("--sync", "Every write waits for stable storage.");
        Option<int> cache = CommandFlag.Number("--cache-mib", "N", "Memory for cached blocks, pages or records, beside that for memtables.", 64, 8, 1 << 20);
        Option<int> memTable = CommandFlag.Number("--memtable-mib", "N", "Size at which a memtable is flushed.", 64, 1, 4096);
        Option<int> index = CommandFlag.Number("--index-mib", "N", "What the index of the engine log may take; 0: a quarter of its memory.", 0, 0, 1 << 20);
        Option<bool> positional = CommandFlag.Switch("--positional-reads", "The engine btree reads through a cache (--cache-mib) and not a map.");
        Option<long> seed = CommandFlag.Count("--seed", "N", "Seed of all random choices.", 1, 0);
        Option<string?> folder = CommandFlag.Text("--dir", "DIR", "Folder of the store (default: a temporary one, removed afterwards).");
        Option<bool> useExisting = CommandFlag.Switch("--use-existing", "Go on with the store in --dir.");
        Option<long> reads = CommandFlag.Count("--reads", "N", "Reads or seeks of each thread, instead of --keys.", 0, 0);
        Option<long> writes = CommandFlag.Count("--writes", "N", "Writes of each thread, instead of --keys.", 0, 0);
        Option<int> duration = CommandFlag.Number("--duration", "SECONDS", "Run for this long, whatever the counts.", 0, 0, 7 * 86_400);
        Option<bool> settle = CommandFlag.Switch("--settle", "After each workload flush and wait for compaction, not measured as work.");
        Option<bool> json = CommandFlag.Json();
        var command = new Command("engine", "Drive a storage engine with its journal, with the data shapes of RocksDB's db_bench.")
        {
            engine, workloads, keys, keySize, valueSize, threads, batch, sync, cache, memTable, index, positional, seed, folder, useExisting,
            reads, writes, duration, settle, json,
        };
        command.SetAction((result, cancellation) =>
        {
            var options = new EngineBenchOptions
            {
                Engine = result.GetValue(engine)!,
                Workloads = result.GetValue(workloads)!,
                Keys = result.GetValue(keys),
                KeyBytes = result.GetValue(keySize),
                ValueBytes = result.GetValue(valueSize),
                Threads = result.GetValue(threads),
                Batch = result.GetValue(batch),
                Sync = result.GetValue(sync),
                CacheMebibytes = result.GetValue(cache),
                MemTableMebibytes = result.GetValue(memTable),
                IndexMebibytes = result.GetValue(index),
                PositionalReads = result.GetValue(positional),
                Seed = (ulong)result.GetValue(seed),
                Folder = result.GetValue(folder),
                UseExisting = result.GetValue(useExisting),
                Reads = result.GetValue(reads),
                Writes = result.GetValue(writes),
                Duration = TimeSpan.FromSeconds(result.GetValue(duration)),
                Settle = result.GetValue(settle),
            };
            if (options.UseExisting && options.Folder is null)
                throw new UsageException("--use-existing needs --dir");
            RefuseWhatTheEngineLacks(options);
            IReadOnlyList<EngineReport> reports = EngineBenchRun.Run(options, cancellation);
            if (result.GetValue(json))
                Console.Out.Write(BenchJson.Serialize(reports));
            else
                Console.Out.Write(string.Join(Environment.NewLine, reports.Select(r => r.Table())));
            cancellation.ThrowIfCancellationRequested();
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static void RefuseWhatTheEngineLacks(EngineBenchOptions options)
    {
        if (options.Engine == "log" && options.Workloads.Contains(EngineWorkload.SeekRandom))
            throw new UsageException("seekrandom seeks in the order of keys, and the engine log keeps none: it finds keys by their hashes");
        if (options.Engine != "log" && options.IndexMebibytes != 0)
            throw new UsageException($"--index-mib is for the engine log, which has all keys in memory; {options.Engine} has no such index");
        if (options.Engine != "btree" && options.PositionalReads)
            throw new UsageException($"--positional-reads is for the engine btree, which maps its file otherwise; {options.Engine} has no map");
    }

    private static EngineWorkload[] Parse(System.CommandLine.Parsing.ArgumentResult result)
    {
        var parsed = new List<EngineWorkload>();
        foreach (string name in result.Tokens.SelectMany(t => t.Value.Split(',')))
        {
            int index = Array.IndexOf(s_names, name);
            if (index < 0)
            {
                result.AddError($"--workload wants one or more of {string.Join(", ", s_names)}, not '{name}'");
                return [];
            }

            parsed.Add((EngineWorkload)index);
        }

        return [.. parsed];
    }
}
