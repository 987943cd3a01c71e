using System.CommandLine;
using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cli.Simulate;

/// <summary>The engines under simulation, so small that a few hundred writes come to everything that large ones do.</summary>
internal static class SimulatedEngines
{
    public static Option<string> Flag() => CommandFlag.OneOf("--engine", "The engine.", "lsm", "lsm", "log", "btree");

    public static IEngineFactory Tiny(string name) => name switch
    {
        "log" => new HashLogEngineFactory(HashLogOptions.Tiny),
        "btree" => BTreeEngineFactory.Tiny,
        _ => new LsmEngineFactory(LsmOptions.Tiny),
    };

    /// <summary>With settings of its own for each run.</summary>
    public static Func<SeededRandom, IEngineFactory> Drawn(string name) => name switch
    {
        "log" => static random => new HashLogEngineFactory(HashLogOptions.DrawTiny(random)),
        "btree" => BTreeEngineFactory.DrawTiny,
        _ => static random => new LsmEngineFactory(LsmOptions.DrawTiny(random)),
    };
}
