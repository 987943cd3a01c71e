using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// A Bloom filter over 64-bit hashes of user keys. The probes of one key are the high bits of its hash times successive
/// powers of an odd constant, scaled to the number of bits: as far apart as independent ones in every measurement, for
/// one multiplication each. Not blocked by cache lines: that would cost a third more false positives at ten bits.
/// </summary>
internal readonly unsafe struct BloomFilter
{
    private const int HeaderBytes = 16;
    private const ulong Step = 0x9E3779B97F4A7C15;

    private readonly byte* _bits;
    private readonly ulong _bitCount;
    private readonly int _probes;

    private BloomFilter(byte* bits, ulong bitCount, int probes)
    {
        _bits = bits;
        _bitCount = bitCount;
        _probes = probes;
    }

    /// <summary>The optimum is ln 2 times the bits a key; one probe less costs little and is faster.</summary>
    public static int ProbesFor(int bitsPerKey) => Math.Clamp((int)(bitsPerKey * 0.69), 1, 16);

    /// <summary>Bytes of the block that holds <paramref name="keys"/> hashes.</summary>
    public static int SizeBytes(long keys, int bitsPerKey)
    {
        long bytes = HeaderBytes + Math.Max(8, ((keys * bitsPerKey) + 63) / 64 * 8);
        Check.That(bytes <= SSTableFormat.BlockPayloadBytesMax);
        return (int)bytes;
    }

    /// <summary>Fills a block of <see cref="SizeBytes"/> bytes.</summary>
    public static void Build(ReadOnlySpan<ulong> hashes, int bitsPerKey, Span<byte> block)
    {
        Begin(bitsPerKey, block);
        Add(hashes, block);
    }

    /// <summary>Makes an empty filter in a block of <see cref="SizeBytes"/> bytes.</summary>
    public static void Begin(int bitsPerKey, Span<byte> block)
    {
        block.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(block, ProbesFor(bitsPerKey));
        BinaryPrimitives.WriteUInt64LittleEndian(block[8..], (ulong)(block.Length - HeaderBytes) * 8);
    }

    /// <summary>Adds keys to a filter that was begun.</summary>
    public static void Add(ReadOnlySpan<ulong> hashes, Span<byte> block)
    {
        int probes = BinaryPrimitives.ReadInt32LittleEndian(block);
        Span<byte> bits = block[HeaderBytes..];
        ulong bitCount = (ulong)bits.Length * 8;
        fixed (byte* to = bits)
        {
            foreach (ulong hash in hashes)
            {
                ulong h = hash;
                for (int i = 0; i < probes; i++)
                {
                    ulong bit = Math.BigMul(h, bitCount, out _);
                    to[bit >> 3] |= (byte)(1 << (int)(bit & 7));
                    h *= Step;
                }
            }
        }
    }

    /// <summary>Reads a block that outlives the filter.</summary>
    public static BloomFilter Read(byte* block, int length, string path, long offset)
    {
        var span = new ReadOnlySpan<byte>(block, length);
        if (length <= HeaderBytes)
            throw new CorruptionException(path, offset, "filter block");
        int probes = BinaryPrimitives.ReadInt32LittleEndian(span);
        ulong bitCount = BinaryPrimitives.ReadUInt64LittleEndian(span[8..]);
        if (probes is < 1 or > 16 || bitCount != (ulong)(length - HeaderBytes) * 8)
            throw new CorruptionException(path, offset, "filter block");
        return new BloomFilter(block + HeaderBytes, bitCount, probes);
    }

    /// <summary>False only when no key with this hash was added. An absent filter says yes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayContain(ulong hash)
    {
        ulong h = hash;
        for (int i = 0; i < _probes; i++)
        {
            ulong bit = Math.BigMul(h, _bitCount, out _);
            if ((_bits[bit >> 3] & (1 << (int)(bit & 7))) == 0)
                return false;
            h *= Step;
        }

        return true;
    }
}
