using Kvasir.Primitives;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Tests.Lsm.SSTables;

public sealed class Lz4BlockTests
{
    [Fact]
    public void WhatWasCompressedComesBack()
    {
        var random = new SeededRandom(1);
        var table = new int[Lz4Block.TableSlots];
        int smaller = 0;
        for (int round = 0; round < 3000; round++)
        {
            byte[] source = Draw(random, random.Next(random.OneIn(20) ? 200_000 : 5000));
            var destination = new byte[source.Length + (source.Length / 200) + 32];
            int length = Lz4Block.Compress(source, destination, table);
            Assert.True(length > 0, $"round {round}");
            smaller += length < source.Length ? 1 : 0;
            var back = new byte[source.Length];
            Assert.True(Lz4Block.TryDecompress(destination.AsSpan(0, length), back), $"round {round}");
            Assert.True(source.AsSpan().SequenceEqual(back), $"round {round}");
        }

        Assert.True(smaller > 1000);
    }

    [Fact]
    public void AnOutputThatDoesNotFitIsRefusedAndNothingIsWrittenBehindIt()
    {
        var random = new SeededRandom(2);
        var table = new int[Lz4Block.TableSlots];
        for (int round = 0; round < 3000; round++)
        {
            byte[] source = Draw(random, random.Next(2000));
            int capacity = random.Next(source.Length + 20);
            var destination = new byte[capacity + 64];
            destination.AsSpan(capacity).Fill(0xAB);
            int length = Lz4Block.Compress(source, destination.AsSpan(0, capacity), table);
            Assert.True(length <= capacity);
            Assert.False(destination.AsSpan(capacity).ContainsAnyExcept((byte)0xAB), $"round {round}");
            if (length == 0)
                continue;
            var back = new byte[source.Length];
            Assert.True(Lz4Block.TryDecompress(destination.AsSpan(0, length), back));
            Assert.True(source.AsSpan().SequenceEqual(back));
        }
    }

    /// <summary>Damaged and invented input: any answer but a write outside, which the fences would show.</summary>
    [Fact]
    public void HostileInputNeverReachesOutsideTheDestination()
    {
        var random = new SeededRandom(3);
        var table = new int[Lz4Block.TableSlots];
        for (int round = 0; round < 50_000; round++)
        {
            byte[] source = Draw(random, random.Next(300));
            var compressed = new byte[source.Length + 64];
            int length = Lz4Block.Compress(source, compressed, table);
            if (random.OneIn(5))
            {
                length = random.Next(compressed.Length);
                random.NextBytes(compressed.AsSpan(0, length));
            }

            for (int i = random.Next(4); i > 0 && length > 0; i--)
                compressed[random.Next(length)] = (byte)random.Next(256);
            int size = random.OneIn(3) ? random.Next(600) : source.Length;
            var fenced = new byte[size + 128];
            fenced.AsSpan().Fill(0xCD);
            Lz4Block.TryDecompress(compressed.AsSpan(0, length), fenced.AsSpan(64, size));
            Assert.False(fenced.AsSpan(0, 64).ContainsAnyExcept((byte)0xCD), $"round {round}");
            Assert.False(fenced.AsSpan(64 + size).ContainsAnyExcept((byte)0xCD), $"round {round}");
        }
    }

    [Fact]
    public void AKnownBlockOfAnotherEncoderIsRead()
    {
        // Nine literals, then 22 bytes from nine back, then five literals, as the format page describes.
        byte[] block = [0x9F, .. "abcdefghi"u8, 9, 0, 3, 0x50, .. "vwxyz"u8];
        var back = new byte[9 + 22 + 5];
        Assert.True(Lz4Block.TryDecompress(block, back));
        Assert.Equal("abcdefghiabcdefghiabcdefghiabcdvwxyz", System.Text.Encoding.ASCII.GetString(back));
        Assert.False(Lz4Block.TryDecompress(block, new byte[back.Length + 1]));
        Assert.False(Lz4Block.TryDecompress(block, new byte[back.Length - 1]));
    }

    private static byte[] Draw(SeededRandom random, int length)
    {
        var source = new byte[length];
        int kind = random.Next(4);
        if (kind == 0)
        {
            random.NextBytes(source);
            return source;
        }

        int at = 0;
        while (at < length)
        {
            int run = Math.Min(length - at, random.Next(1, kind == 1 ? 600 : 40));
            if (at > 0 && random.OneIn(2))
            {
                int from = random.Next(at);
                for (int i = 0; i < run; i++)
                    source[at + i] = source[from + i];
            }
            else
            {
                random.NextBytes(source.AsSpan(at, run));
            }

            at += run;
        }

        return source;
    }
}
