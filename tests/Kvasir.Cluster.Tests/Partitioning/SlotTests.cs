using System.Globalization;
using System.Text;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Tests.Directory;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Tests.Partitioning;

public sealed class SlotTests
{
    [Fact]
    public void TheVectorsOnPaperHold()
    {
        string[][] rows = FormatPage.Table("sharding.md", "key", "hashed part", "CRC-16", "slot", "shard of 4", "shard of 16");
        Assert.True(rows.Length >= 10);
        foreach (string[] row in rows)
        {
            byte[] key = Encoding.UTF8.GetBytes(FormatPage.Code(row[0]));
            byte[] part = Encoding.UTF8.GetBytes(FormatPage.Code(row[1]));
            var slot = Slot.OfKey(key);
            Assert.Equal(part, HashTag.Of(key).ToArray());
            Assert.Equal(row[2], Crc16.Compute(part).ToString("X4", CultureInfo.InvariantCulture));
            Assert.Equal(row[3], slot.ToString());
            Assert.Equal(row[4], slot.Shard(4).ToString(CultureInfo.InvariantCulture));
            Assert.Equal(row[5], slot.Shard(16).ToString(CultureInfo.InvariantCulture));
        }
    }

    [Theory]
    // From the sources and the documentation of Redis, not from ours.
    [InlineData("123456789", 0x31C3)]
    [InlineData("", 0)]
    public void TheHashIsXmodem(string text, int crc) => Assert.Equal(crc, Crc16.Compute(Encoding.ASCII.GetBytes(text)));

    [Fact]
    public void TheHashIsThatOfBitByBit()
    {
        var random = new SeededRandom(1);
        byte[] data = new byte[70];
        random.NextBytes(data);
        for (int length = 0; length <= data.Length; length++)
        {
            int crc = 0;
            foreach (byte b in data[..length])
            {
                crc ^= b << 8;
                for (int bit = 0; bit < 8; bit++)
                    crc = ((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xFFFF;
            }

            Assert.Equal(crc, Crc16.Compute(data.AsSpan(0, length)));
        }
    }

    [Theory]
    [InlineData("somekey", 11058)]
    [InlineData("foo{hash_tag}", 2515)]
    [InlineData("bar{hash_tag}", 2515)]
    [InlineData("foo", 12182)]
    public void SlotsAreThoseOfRedis(string key, int slot) => Assert.Equal(slot, Slot.OfKey(Encoding.ASCII.GetBytes(key)).Value);

    [Theory]
    [InlineData("{user1000}.following", "user1000")]
    [InlineData("foo{}{bar}", "foo{}{bar}")]
    [InlineData("foo{{bar}}zap", "{bar")]
    [InlineData("foo{bar}{zap}", "bar")]
    [InlineData("foo{bar", "foo{bar")]
    [InlineData("foo}bar{", "foo}bar{")]
    [InlineData("}{a}", "a")]
    [InlineData("{}", "{}")]
    [InlineData("", "")]
    public void OnlyTheFirstTagCountsAndOnlyWhenItHoldsSomething(string key, string part) =>
        Assert.Equal(part, Encoding.ASCII.GetString(HashTag.Of(Encoding.ASCII.GetBytes(key))));

    [Fact]
    public void TwiceAsManyShardsCutEachInTwo()
    {
        for (ushort value = 0; value < Slot.Count; value++)
        {
            var slot = new Slot(value);
            Assert.Equal(0, slot.Shard(1));
            for (int shards = 1; shards < 1024; shards *= 2)
                Assert.Equal(slot.Shard(shards), slot.Shard(2 * shards) % shards);
        }
    }
}
