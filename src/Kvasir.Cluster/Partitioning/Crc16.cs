namespace Kvasir.Cluster.Partitioning;

/// <summary>
/// CRC-16/XMODEM (polynomial 0x1021, most significant bit first, start 0): the hash that Redis Cluster cuts keys with. Eight bytes
/// at a time by as many tables, since each byte by itself would wait for the one before (Kounavis and Berry, "Novel
/// Table Lookup-Based Algorithms for High-Performance CRC Generation", 2008).
/// </summary>
public static class Crc16
{
    private const int Together = 8;

    // Row n: what a byte does to the checksum when n more follow it.
    private static readonly ushort[] s_tables = MakeTables();

    public static ushort Compute(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ushort> tables = s_tables;
        uint crc = 0;
        while (data.Length >= Together)
        {
            crc = (uint)(tables[(7 << 8) | (data[0] ^ (byte)(crc >> 8))]
                ^ tables[(6 << 8) | (data[1] ^ (byte)crc)]
                ^ tables[(5 << 8) | data[2]]
                ^ tables[(4 << 8) | data[3]]
                ^ tables[(3 << 8) | data[4]]
                ^ tables[(2 << 8) | data[5]]
                ^ tables[(1 << 8) | data[6]]
                ^ tables[data[7]]);
            data = data[Together..];
        }

        foreach (byte b in data)
            crc = (crc << 8) ^ tables[(byte)((crc >> 8) ^ b)];
        return (ushort)crc;
    }

    private static ushort[] MakeTables()
    {
        ushort[] tables = new ushort[Together << 8];
        for (int i = 0; i < 256; i++)
        {
            int crc = i << 8;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
            tables[i] = (ushort)crc;
        }

        for (int i = 256; i < tables.Length; i++)
            tables[i] = (ushort)((tables[i - 256] << 8) ^ tables[tables[i - 256] >> 8]);
        return tables;
    }
}
