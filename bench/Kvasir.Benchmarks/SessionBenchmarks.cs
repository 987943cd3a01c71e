using System.Text;
using BenchmarkDotNet.Attributes;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;

namespace Kvasir.Benchmarks;

/// <summary>
/// Commands from the bytes of a request to the bytes of its reply: parser, mailbox, engine, journal, and with
/// <see cref="Durability.Sync"/> the disk. Keys are random among a hundred thousand, values have 100 bytes. "Allocated" must
/// show a dash: no managed byte for an operation, flushes and compactions in the background included.
/// </summary>
[Config(typeof(QuickConfig))]
public class SessionBenchmarks
{
    private const int Keys = 100_000;
    private const int Pipeline = 16;
    private readonly SeededRandom _random = new(1);
    private byte[][] _sets = [];
    private byte[][] _gets = [];
    private byte[][] _increments = [];
    private byte[][] _pipelines = [];
    private BenchNode _node = null!;

    [Params(Durability.None, Durability.Sync)]
    public Durability Durability { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _node = new BenchNode(Durability);
        string value = new('x', 100);
        _sets = Requests(i => $"*3\r\n$3\r\nSET\r\n$16\r\nkey:{i:D12}\r\n$100\r\n{value}\r\n");
        _gets = Requests(i => $"*2\r\n$3\r\nGET\r\n$16\r\nkey:{i:D12}\r\n");
        _increments = Requests(i => $"*2\r\n$4\r\nINCR\r\n$20\r\ncounter:{i:D12}\r\n");
        _pipelines = [.. _gets.Chunk(Pipeline).Select(chunk => chunk.SelectMany(static b => b).ToArray())];
        for (int i = 0; i < Keys; i += 100)
            _node.Execute([.. _sets[i..(i + 100)].SelectMany(static b => b)]);
    }

    [GlobalCleanup]
    public void Cleanup() => _node.Dispose();

    [Benchmark]
    public int Set() => _node.Execute(_sets[_random.Next(Keys)]);

    [Benchmark]
    public int Get() => _node.Execute(_gets[_random.Next(Keys)]);

    [Benchmark]
    public int Increment() => _node.Execute(_increments[_random.Next(Keys)]);

    [Benchmark(OperationsPerInvoke = Pipeline)]
    public int GetPipelined() => _node.Execute(_pipelines[_random.Next(_pipelines.Length)]);

    private static byte[][] Requests(Func<int, string> request) =>
        [.. Enumerable.Range(0, Keys).Select(i => Encoding.ASCII.GetBytes(request(i)))];
}
