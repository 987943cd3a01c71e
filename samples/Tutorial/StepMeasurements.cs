using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Samples.Tutorial;

/// <summary>Runs every step with more and more keys, in one thread, and times what it does.</summary>
internal sealed class StepMeasurements(string folder, int keysMax)
{
    public const string Bash = "0 two functions";

    private const int Operations = 20_000;
    private const int WarmUpKeys = 30_000;
    private const int OverwrittenKeys = 50_000;
    private const int Overwrites = 1_000_000;
    private const int OverwriteLooks = 50;
    private static readonly string s_value = new('v', 100);

    private static readonly (string Name, Func<string, ITutorialStore> Open)[] s_steps =
    [
        ("1 hash index", static f => new HashIndexedLog(f)),
        ("2 segments and merge", static f => new SegmentedLog(f)),
        ("3 sorted segments", static f => new SortedSegments(f)),
        ("4 B+tree", static f => new CopyOnWriteTree(f)),
    ];

    private int _folders;

    public IEnumerable<Measurement> Run()
    {
        for (int keys = 1000; keys <= keysMax; keys *= 10)
        {
            foreach (Measurement m in MeasureBash(keys))
                yield return m;
        }

        foreach ((string name, Func<string, ITutorialStore> open) in s_steps)
        {
            // What is compiled on the way is not what is measured.
            _ = MeasureSize(name, open, WarmUpKeys).Count();
            for (int keys = 1000; keys <= keysMax; keys *= 10)
            {
                foreach (Measurement m in MeasureSize(name, open, keys))
                    yield return m;
            }

            foreach (Measurement m in MeasureOverwrites(name, open))
                yield return m;
        }
    }

    private IEnumerable<Measurement> MeasureSize(string step, Func<string, ITutorialStore> open, int keys)
    {
        string place = NewFolder();
        var random = new Random(keys);
        int[] order = [.. Enumerable.Range(0, keys)];
        random.Shuffle(order);
        using (ITutorialStore store = open(place))
        {
            // All of them: what is done for many writes at once, now and then, is part of what each costs.
            long began = Stopwatch.GetTimestamp();
            foreach (int key in order)
                store.Set(KeyOf(key), s_value);
            yield return new Measurement("write", step, keys, Stopwatch.GetElapsedTime(began).TotalMicroseconds / keys);
            yield return new Measurement("read", step, keys, Microseconds(() =>
            {
                if (store.Get(KeyOf(random.Next(keys))) != s_value)
                    throw new InvalidOperationException($"{step} has lost a key");
            }));
            yield return new Measurement("missing", step, keys, Microseconds(() =>
            {
                if (store.Get(KeyOf(random.Next(keys)) + "?") is not null)
                    throw new InvalidOperationException($"{step} has a key that nobody wrote");
            }));
            yield return new Measurement("memory", step, keys, Math.Max(store.KeysInMemory, 1));
        }

        Directory.Delete(place, recursive: true);
    }

    private IEnumerable<Measurement> MeasureOverwrites(string step, Func<string, ITutorialStore> open)
    {
        string place = NewFolder();
        var random = new Random(1);
        double live = OverwrittenKeys * (KeyOf(0).Length + s_value.Length);
        using (ITutorialStore store = open(place))
        {
            for (int key = 0; key < OverwrittenKeys; key++)
                store.Set(KeyOf(key), s_value);
            for (int i = 0; i <= Overwrites; i++)
            {
                if (i % (Overwrites / OverwriteLooks) == 0)
                    yield return new Measurement("disk", step, i, store.DiskBytes / live);
                store.Set(KeyOf(random.Next(OverwrittenKeys)), s_value);
            }
        }

        Directory.Delete(place, recursive: true);
    }

    /// <summary>What bash itself needs to start its tools is in it, too: that is what the two functions cost.</summary>
    private IEnumerable<Measurement> MeasureBash(int keys)
    {
        const int Sets = 200, Gets = 20;
        string place = NewFolder(), database = Path.Combine(place, "database");
        File.WriteAllLines(database, Enumerable.Range(0, keys).Select(k => $"{KeyOf(k)},{s_value}"));
        string functions = Path.Combine(AppContext.BaseDirectory, "two-functions.sh");
        string wanted = string.Join(' ', Enumerable.Range(0, Gets).Select(i => KeyOf(keys / Gets * i)));
        yield return new Measurement("write", Bash, keys, Time($"for i in $(seq {Sets}); do db_set {KeyOf(1)} {s_value}; done") / Sets);
        yield return new Measurement("read", Bash, keys, Time($"for k in {wanted}; do db_get $k >/dev/null; done") / Gets);
        yield return new Measurement("missing", Bash, keys, Time($"for k in {wanted}; do db_get $k? >/dev/null; done") / Gets);
        Directory.Delete(place, recursive: true);

        double Time(string loop)
        {
            string script = $"source '{functions}'; DATABASE='{database}'; b=$EPOCHREALTIME; {loop}; e=$EPOCHREALTIME; echo $(( ${{e/./}} - ${{b/./}} ))";
            using Process bash = Process.Start(new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true, UseShellExecute = false })!;
            string answer = bash.StandardOutput.ReadToEnd();
            bash.WaitForExit();
            return double.Parse(answer, CultureInfo.InvariantCulture);
        }
    }

    private static double Microseconds(Action operation)
    {
        for (int i = 0; i < Operations / 10; i++)
            operation();
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
            operation();
        return Stopwatch.GetElapsedTime(began).TotalMicroseconds / Operations;
    }

    private static string KeyOf(int key) => string.Create(CultureInfo.InvariantCulture, $"key-{key:D12}");

    private string NewFolder() => Directory.CreateDirectory(Path.Combine(folder, (++_folders).ToString(CultureInfo.InvariantCulture))).FullName;
}
