using Kvasir.Primitives;

namespace Kvasir.Cli.Bench;

/// <summary>
/// Bytes shaped like those of RocksDB's db_bench: pieces of 100 bytes, each <c>ratio</c> random printable characters
/// repeated to fill it, so that a compressor finds about that ratio. Values are cut from it one after the other.
/// Immutable: several threads may read one, each at its own position.
/// </summary>
internal sealed class CompressibleData
{
    private const int PieceBytes = 100;
    private readonly byte[] _data;

    public CompressibleData(ulong seed, double ratio, int valueBytesMax)
    {
        var random = new SeededRandom(seed);
        _data = new byte[Math.Max(1 << 20, valueBytesMax) + PieceBytes];
        int raw = Math.Max(1, (int)(PieceBytes * ratio));
        for (int at = 0; at < _data.Length; at += PieceBytes)
        {
            Span<byte> piece = _data.AsSpan(at, Math.Min(PieceBytes, _data.Length - at));
            for (int i = 0; i < piece.Length; i++)
                piece[i] = i < raw ? (byte)random.Next(' ', '~' + 1) : piece[i - raw];
        }
    }

    /// <summary>
    /// The beginning of a piece near <paramref name="position"/>: where db_bench starts, too. From the middle of one, values
    /// would repeat less of themselves.
    /// </summary>
    public static int StartIn(int position) => position - (position % PieceBytes);

    /// <summary>The next value; <paramref name="position"/> is the caller's place in the data and moves on.</summary>
    public ReadOnlySpan<byte> Next(ref int position, int length)
    {
        if (position + length > _data.Length)
            position = 0;
        ReadOnlySpan<byte> value = _data.AsSpan(position, length);
        position += length;
        return value;
    }
}
