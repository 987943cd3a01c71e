using Kvasir.Primitives;

namespace Kvasir.Benchmarks.Engines;

/// <summary>Values of which a compressor makes about half, for those who compress: random bytes, then the same again.</summary>
internal sealed class BenchValues
{
    private const int Count = 10_000;

    private readonly byte[] _bytes = new byte[Count * BenchKeys.ValueBytes];

    public BenchValues()
    {
        var random = new SeededRandom(1);
        for (int at = 0; at < _bytes.Length; at++)
        {
            int within = at % BenchKeys.ValueBytes;
            _bytes[at] = within < BenchKeys.ValueBytes / 2 ? (byte)random.Next(256) : _bytes[at - (BenchKeys.ValueBytes / 2)];
        }
    }

    public ReadOnlySpan<byte> At(long number) => _bytes.AsSpan((int)(number % Count) * BenchKeys.ValueBytes, BenchKeys.ValueBytes);
}
