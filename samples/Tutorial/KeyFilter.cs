namespace Kvasir.Samples.Tutorial;

/// <summary>
/// A Bloom filter (Bloom 1970): ten bits a key, seven of which are set. It may say yes of a key that is not there (one in a hundred);
/// it never says no of one that is.
/// </summary>
internal sealed class KeyFilter(int keys)
{
    private const int BitsPerKey = 10;
    private const int Probes = 7;

    private readonly ulong[] _bits = new ulong[(keys * BitsPerKey / 64) + 1];

    public void Add(string key)
    {
        ulong hash = Hash(key);
        for (int i = 0; i < Probes; i++)
            _bits[Word(hash, i, out ulong bit)] |= bit;
    }

    public bool MayHave(string key)
    {
        ulong hash = Hash(key);
        for (int i = 0; i < Probes; i++)
        {
            if ((_bits[Word(hash, i, out ulong bit)] & bit) == 0)
                return false;
        }

        return true;
    }

    // Two hashes make all others (Kirsch and Mitzenmacher 2006).
    private int Word(ulong hash, int probe, out ulong bit)
    {
        ulong at = (hash + ((ulong)probe * ((hash >> 32) | 1))) % ((ulong)_bits.Length * 64);
        bit = 1UL << (int)(at % 64);
        return (int)(at / 64);
    }

    // FNV-1a, and a last mix, so that the upper half is as good as the lower.
    private static ulong Hash(string key)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in key)
            hash = (hash ^ c) * 1099511628211;
        hash ^= hash >> 32;
        return hash * 0x9E3779B97F4A7C15;
    }
}
