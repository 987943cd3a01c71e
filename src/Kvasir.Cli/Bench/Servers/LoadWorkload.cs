using System.Globalization;
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

    private enum KeyChoice
    {
        Uniform,
        Zipfian,
        Latest,
    }

    /// <summary>
    /// Draws the next operation and appends its request; <paramref name="place"/> is the caller's in the value bytes.
    /// </summary>
    public LoadOperation Next(SeededRandom random, ref int place, BytesBuffer output, out long key)
    {
        if (_loading)
        {
            key = (Interlocked.Increment(ref _inserted) - 1) % _keys;
            Set(ref place, output, key);
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
                output.Append("*2\r\n$3\r\nGET\r\n"u8);
                Key(output, key);
                break;
            case LoadOperation.Increment:
                output.Append("*2\r\n$4\r\nINCR\r\n"u8);
                Key(output, key, "ctr:"u8);
                break;
            case LoadOperation.Scan:
                Scan(output, key, random.Next(1, ScanLengthMax + 1));
                break;
            default:
                Set(ref place, output, key);
                break;
        }

        return operation;
    }

    /// <summary>The write that ends a read-modify-write.</summary>
    public void Set(ref int place, BytesBuffer output, long key)
    {
        output.Append("*3\r\n$3\r\nSET\r\n"u8);
        Key(output, key);
        Length(output, (byte)'$', _valueBytes);
        output.Append(_data.Next(ref place, _valueBytes));
        output.Append("\r\n"u8);
    }

    private void Scan(BytesBuffer output, long key, int length)
    {
        Length(output, (byte)'*', length + 1);
        output.Append("$4\r\nMGET\r\n"u8);
        for (int i = 0; i < length; i++)
            Key(output, (key + i) % _keys);
    }

    private static void Key(BytesBuffer output, long key) => Key(output, key, "key:"u8);

    /// <summary>Sixteen bytes, as those of redis-benchmark: a prefix and twelve digits.</summary>
    private static void Key(BytesBuffer output, long key, ReadOnlySpan<byte> prefix)
    {
        Span<byte> span = output.GetSpan(23);
        "$16\r\n"u8.CopyTo(span);
        prefix.CopyTo(span[5..]);
        for (int i = 20; i >= 9; i--)
        {
            span[i] = (byte)('0' + (key % 10));
            key /= 10;
        }

        span[21] = (byte)'\r';
        span[22] = (byte)'\n';
        output.Advance(23);
    }

    private static void Length(BytesBuffer output, byte kind, int number)
    {
        Span<byte> span = output.GetSpan(16);
        span[0] = kind;
        number.TryFormat(span[1..], out int digits, default, CultureInfo.InvariantCulture);
        "\r\n"u8.CopyTo(span[(1 + digits)..]);
        output.Advance(digits + 3);
    }
}
