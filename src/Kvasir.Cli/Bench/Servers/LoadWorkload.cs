using Kvasir.Primitives;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>
/// Decides what is asked next. One is shared by all connections of a run; each brings its own generator. YCSB A to F
/// are those of Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (SoCC 2010), with two notes: RESP strings
/// have no fields, so a record is one value; and RESP has no ordered scan of keys, so E asks MGET for a run of up to 100
/// neighbouring records.
/// </summary>
internal sealed class LoadWorkload
{
    private const int ScanLengthMax = 100;

    private static readonly Dictionary<string, (LoadOperation First, int FirstPercent, LoadOperation Second, KeyChoice Keys)> s_mixes =
        new(StringComparer.Ordinal)
        {
            ["get"] = (LoadOperation.Read, 100, LoadOperation.Read, KeyChoice.Uniform),
            ["set"] = (LoadOperation.Update, 100, LoadOperation.Update, KeyChoice.Uniform),
            ["incr"] = (LoadOperation.Increment, 100, LoadOperation.Increment, KeyChoice.Uniform),
            ["mixed"] = (LoadOperation.Read, 50, LoadOperation.Update, KeyChoice.Uniform),
            ["ycsb-a"] = (LoadOperation.Read, 50, LoadOperation.Update, KeyChoice.Zipfian),
            ["ycsb-b"] = (LoadOperation.Read, 95, LoadOperation.Update, KeyChoice.Zipfian),
            ["ycsb-c"] = (LoadOperation.Read, 100, LoadOperation.Read, KeyChoice.Zipfian),
            ["ycsb-d"] = (LoadOperation.Read, 95, LoadOperation.Insert, KeyChoice.Latest),
            ["ycsb-e"] = (LoadOperation.Scan, 95, LoadOperation.Insert, KeyChoice.Zipfian),
            ["ycsb-f"] = (LoadOperation.Read, 50, LoadOperation.ReadModifyWrite, KeyChoice.Zipfian),
        };

    private readonly LoadOperation _first;
    private readonly LoadOperation _second;
    private readonly int _firstPercent;
    private readonly KeyChoice _choice;
    private readonly Zipfian? _zipfian;
    private readonly long _keys;
    private readonly int _valueBytes;
    private readonly CompressibleData _data;
    private readonly bool _loading;
    private long _inserted;

    public LoadWorkload(LoadOptions options, bool loading)
    {
        (_first, _firstPercent, _second, _choice) = s_mixes[options.Workload];
        if (options.Workload == "mixed")
            _firstPercent = options.ReadPercent;
        _keys = options.Keys;
        _valueBytes = options.ValueBytes;
        _loading = loading;
        _inserted = loading ? 0 : options.Keys;
        _data = new CompressibleData(options.Seed, 0.5, options.ValueBytes);
        if (!loading && _choice != KeyChoice.Uniform)
            _zipfian = new Zipfian(options.Keys);
    }

    public static string[] Names => [.. s_mixes.Keys];

    /// <summary>Whether nothing but single keys are read and written.</summary>
    public static bool IsPlain(string name) =>
        s_mixes[name] is { First: not (LoadOperation.Increment or LoadOperation.Scan), Second: not (LoadOperation.Increment or LoadOperation.Scan) };

    private enum KeyChoice
    {
        Uniform,
        Zipfian,
        Latest,
    }

    /// <summary>
    /// Draws the next operation and appends its request; <paramref name="place"/> is the caller's in the value bytes.
    /// </summary>
    public LoadOperation Next(ILoadProtocol protocol, SeededRandom random, ref int place, BytesBuffer output, out long key)
    {
        if (_loading)
        {
            key = (Interlocked.Increment(ref _inserted) - 1) % _keys;
            Set(protocol, ref place, output, key);
            return LoadOperation.Insert;
        }

        LoadOperation operation = _firstPercent == 100 || random.Next(100) < _firstPercent ? _first : _second;
        key = operation == LoadOperation.Insert ? Interlocked.Increment(ref _inserted) - 1 : _choice switch
        {
            KeyChoice.Uniform => random.NextInt64(_keys),
            KeyChoice.Zipfian => _zipfian!.Scrambled(random),
            _ => Math.Max(0, Interlocked.Read(ref _inserted) - 1 - _zipfian!.Rank(random)),
        };
        switch (operation)
        {
            case LoadOperation.Read or LoadOperation.ReadModifyWrite:
                protocol.Get(output, key);
                break;
            case LoadOperation.Increment:
                protocol.Increment(output, key);
                break;
            case LoadOperation.Scan:
                protocol.Scan(output, key, random.Next(1, ScanLengthMax + 1), _keys);
                break;
            default:
                Set(protocol, ref place, output, key);
                break;
        }

        return operation;
    }

    /// <summary>The write that ends a read-modify-write.</summary>
    public void Set(ILoadProtocol protocol, ref int place, BytesBuffer output, long key) =>
        protocol.Set(output, key, _data.Next(ref place, _valueBytes));
}
