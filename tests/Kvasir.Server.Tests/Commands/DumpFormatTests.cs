using System.Buffers.Binary;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;

namespace Kvasir.Server.Tests.Commands;

public sealed class DumpFormatTests
{
    [Fact]
    public void ChecksumIsThatOfRedis() => Assert.Equal(0xE9C6D914C4B8D9CAUL, Crc64.Compute("123456789"u8));

    [Theory]
    [InlineData("", "0000")]
    [InlineData("hello", "000568656C6C6F")]
    [InlineData("127", "00C07F")]
    [InlineData("-128", "00C080")]
    [InlineData("128", "00C18000")]
    [InlineData("-32768", "00C10080")]
    [InlineData("2147483647", "00C2FFFFFF7F")]
    [InlineData("2147483648", "000A32313437343833363438")]
    [InlineData("007", "0003303037")]
    public void StringsAreWrittenAsRedisWritesThem(string value, string encoded)
    {
        BytesBuffer dump = new();
        DumpFormat.AppendString(Encoding.ASCII.GetBytes(value), dump, compress: false);
        Assert.Equal(encoded, Convert.ToHexString(dump.WrittenSpan[..^10]));
        Assert.Equal(10, BinaryPrimitives.ReadUInt16LittleEndian(dump.WrittenSpan[^10..]));
        Assert.Equal(value, Read(dump.WrittenSpan));
    }

    [Theory]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(16383)]
    [InlineData(16384)]
    [InlineData(100_000)]
    public void EveryFormOfLengthIsReadBack(int length)
    {
        BytesBuffer dump = new();
        string value = new('x', length);
        DumpFormat.AppendString(Encoding.ASCII.GetBytes(value), dump, compress: false);
        Assert.Equal(value, Read(dump.WrittenSpan));
    }

    /// <summary>What Redis 7.0.15 answers to DUMP of one letter, many times.</summary>
    [Theory]
    [InlineData('a', 40, "00C30928016161E01B000161610A00CF092FAAAE25831D")]
    [InlineData('\0', 21, "00C30615010000E00A000A00DA6EB70DBC05A88C")]
    public void CompressedStringsAreReadAndWrittenAsRedisDoes(char letter, int count, string encoded)
    {
        string text = new(letter, count);
        Assert.Equal(text, Read(Convert.FromHexString(encoded)));
        BytesBuffer dump = new();
        DumpFormat.AppendString(Encoding.ASCII.GetBytes(text), dump, compress: true);
        Assert.Equal(encoded, Convert.ToHexString(dump.WrittenSpan));
    }

    [Fact]
    public void WhateverIsCompressedIsReadBack()
    {
        var random = new SeededRandom(12);
        BytesBuffer dump = new();
        int smaller = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] value = new byte[random.OneIn(50) ? random.Next(40_000) : random.Next(300)];
            int symbols = 1 + random.Next(random.OneIn(2) ? 4 : 256);
            for (int j = 0; j < value.Length; j++)
                value[j] = j > 20 && !random.OneIn(9) ? value[j - 1 - random.Next(20)] : (byte)random.Next(symbols);
            dump.Clear();
            DumpFormat.AppendString(value, dump, compress: true);
            smaller += dump.Length < value.Length ? 1 : 0;
            BytesBuffer read = new();
            Assert.Equal(DumpStatus.Ok, DumpFormat.ReadString(dump.WrittenSpan, read, long.MaxValue));
            Assert.True(read.WrittenSpan.SequenceEqual(value), $"value {i} of seed 12");
        }

        Assert.InRange(smaller, 500, 3000);
    }

    /// <summary>No bytes make it read outside of them, take memory without bound, or throw.</summary>
    [Fact]
    public void AnyBytesAreReadOrRefused()
    {
        var random = new SeededRandom(11);
        BytesBuffer value = new();
        for (int i = 0; i < 200_000; i++)
        {
            byte[] body = new byte[random.Next(1, 24)];
            random.NextBytes(body);
            body[0] = 0;
            if (body.Length > 1 && random.OneIn(2))
                body[1] = (byte)(0xC0 | random.Next(5));
            value.Clear();
            byte[] payload = WithFooter(body);
            Assert.Equal(DumpStatus.Ok, DumpFormat.Verify(payload));
            if (DumpFormat.ReadString(payload, value, 1 << 20) == DumpStatus.Ok)
                Assert.True(value.Length <= 1 << 20);
        }
    }

    [Fact]
    public void EveryFlippedBitIsNoticed()
    {
        BytesBuffer dump = new();
        DumpFormat.AppendString("some value"u8, dump, compress: true);
        byte[] bytes = dump.WrittenSpan.ToArray();
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Equal(DumpStatus.WrongVersionOrChecksum, DumpFormat.Verify(bytes));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    private static string Read(ReadOnlySpan<byte> payload)
    {
        BytesBuffer value = new();
        Assert.Equal(DumpStatus.Ok, DumpFormat.Verify(payload));
        Assert.Equal(DumpStatus.Ok, DumpFormat.ReadString(payload, value, long.MaxValue));
        return Encoding.ASCII.GetString(value.WrittenSpan);
    }

    private static byte[] WithFooter(byte[] body)
    {
        byte[] payload = [.. body, 10, 0, .. new byte[8]];
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(payload.Length - 8), Crc64.Compute(payload.AsSpan(0, payload.Length - 8)));
        return payload;
    }
}
