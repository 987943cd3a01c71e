using BenchmarkDotNet.Running;
using Kvasir.Benchmarks;
using Kvasir.Benchmarks.Engines;

// Cells of bench/engines.sh, each in a process of its own; everything else is BenchmarkDotNet's.
switch (args)
{
    case ["tree", .. string[] rest]:
        TreeCells.Run(new CellArguments(rest));
        break;
    case ["store", .. string[] rest]:
        StoreCells.Run(new CellArguments(rest));
        break;
    case ["hash", .. string[] rest]:
        HashCells.Run(new CellArguments(rest));
        break;
    case ["opening", .. string[] rest]:
        OpeningCells.Run(new CellArguments(rest));
        break;
    default:
        BenchmarkSwitcher.FromAssembly(typeof(SessionBenchmarks).Assembly).Run(args);
        break;
}
