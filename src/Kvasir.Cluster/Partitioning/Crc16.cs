namespace Kvasir.Cluster.Partitioning;

/// <summary>
/// CRC-16/XMODEM (polynomial 0x1021, most significant bit first, start 0): the hash that Redis Cluster cuts keys with.
/// </summary>
public static class Crc16
{
    private static readonly ushort[] s_table = MakeTable();

    public static ushort Compute(ReadOnlySpan<byte> data)
    {
        ushort[] table = s_table;
        uint crc = 0;
        foreach (byte b in data)
            crc = (crc << 8) ^ table[(byte)((crc >> 8) ^ b)];
        return (ushort)crc;
    }

    private static ushort[] MakeTable()
    {
        var table = new ushort[256];
        for (int i = 0; i < table.Length; i++)
        {
            int crc = i << 8;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
            table[i] = (ushort)crc;
        }

        return table;
    }
}
