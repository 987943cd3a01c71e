using BenchmarkDotNet.Running;
using Kvasir.Benchmarks;

BenchmarkSwitcher.FromAssembly(typeof(SessionBenchmarks).Assembly).Run(args);
