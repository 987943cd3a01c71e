using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Benchmarks.Engines;

/// <summary>Measures, and prints a line for each cell: its name and a number, as the peers' programs do.</summary>
internal static class Cells
{
    private const int Rounds = 3;

    public static void Print(string name, double value) =>
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name} {value:0.###}"));

    /// <summary>Operations a second of one run.</summary>
    public static void Once(string name, long operations, Action run)
    {
        long begun = Stopwatch.GetTimestamp();
        run();
        Print(name, operations / Stopwatch.GetElapsedTime(begun).TotalSeconds);
    }

    /// <summary>Operations a second: of the first run, which meets what nobody has touched yet, and the median of those after it.</summary>
    public static void Repeat(string name, long operations, Action run)
    {
        Once(name + "_first", operations, run);
        double[] rates = new double[Rounds];
        for (int i = 0; i < Rounds; i++)
        {
            long begun = Stopwatch.GetTimestamp();
            run();
            rates[i] = operations / Stopwatch.GetElapsedTime(begun).TotalSeconds;
        }

        Array.Sort(rates);
        Print(name, rates[Rounds / 2]);
    }

    /// <summary>The same from several threads at once; each is told which one it is.</summary>
    public static void Together(int threads, Action<int> run)
    {
        var failures = new Exception?[threads];
        Thread[] all = [.. Enumerable.Range(0, threads).Select(id => new Thread(() =>
        {
            try
            {
                run(id);
            }
            catch (Exception e)
            {
                failures[id] = e;
            }
        }))];
        foreach (Thread thread in all)
            thread.Start();
        foreach (Thread thread in all)
            thread.Join();
        if (failures.FirstOrDefault(f => f is not null) is { } failure)
            throw new InvalidOperationException("a thread of a benchmark failed", failure);
    }

    /// <summary>What the system says was resident at most, in MiB.</summary>
    public static void PrintPeakMemory()
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        string kibibytes = line["VmHWM:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
        Print("peak_mib", long.Parse(kibibytes, CultureInfo.InvariantCulture) / 1024.0);
    }
}
