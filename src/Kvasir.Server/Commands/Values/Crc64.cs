namespace Kvasir.Server.Commands.Values;

/// <summary>CRC-64 with the polynomial of Jones, reflected, starting from zero: what Redis puts behind its dumps.</summary>
internal static class Crc64
{
    private const ulong ReflectedPolynomial = 0x95AC9329AC4BC9B5;
    private static readonly ulong[] s_table = CreateTable();

    public static ulong Compute(ReadOnlySpan<byte> data)
    {
        ulong crc = 0;
        foreach (byte b in data)
            crc = s_table[(byte)crc ^ b] ^ (crc >> 8);
        return crc;
    }

    private static ulong[] CreateTable()
    {
        ulong[] table = new ulong[256];
        for (uint i = 0; i < table.Length; i++)
        {
            ulong crc = i;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ ReflectedPolynomial : crc >> 1;
            table[i] = crc;
        }

        return table;
    }
}
