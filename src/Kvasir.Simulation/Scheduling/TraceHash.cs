using Kvasir.Primitives;

namespace Kvasir.Simulation.Scheduling;

/// <summary>A digest of all that happened in a simulated world, in its order: two runs of one seed agree on it, or chance came in from outside.</summary>
public sealed class TraceHash
{
    public ulong Value { get; private set; }

    public long Count { get; private set; }

    public void Add(ulong number)
    {
        ulong z = (Value ^ number) * 0x9E3779B97F4A7C15;
        Value = z ^ (z >> 32);
        Count++;
    }

    public void Add(ReadOnlySpan<byte> bytes) => Add(StableHash.Hash64(bytes));
}
