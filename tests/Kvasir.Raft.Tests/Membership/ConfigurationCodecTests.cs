using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests.Membership;

public sealed class ConfigurationCodecTests
{
    [Theory]
    // As docs/formats/raft-configuration.md shows them.
    [InlineData("01 03 01 02 03 00 00", "(1 2 3)")]
    [InlineData("01 02 02 AC02 01 09 03 01 02 03", "(2 300)&(1 2 3) learners(9)")]
    [InlineData("01 00 00 00", "()")]
    public void HasTheBytesOnPaper(string hex, string text)
    {
        byte[] bytes = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        Assert.True(ConfigurationCodec.TryRead(bytes, out Configuration? configuration));
        Assert.Equal(text, configuration.ToString());
        Assert.Equal(bytes, Written(configuration));
    }

    [Fact]
    public void IsReadAsItWasWrittenAndNotFromAnyPrefixOrWithMore()
    {
        for (ulong seed = 1; seed <= 500; seed++)
        {
            var random = new SeededRandom(seed);
            MemberId[] voters = Draw(random, 1 + random.Next(6));
            MemberId[] learners = [.. Draw(random, random.Next(4)).Except(voters)];
            var configuration = new Configuration(voters, learners, random.OneIn(2) ? [] : Draw(random, 3));
            byte[] bytes = Written(configuration);
            Assert.True(ConfigurationCodec.TryRead(bytes, out Configuration? read) && read.Equals(configuration), $"seed {seed}");
            for (int i = 0; i < bytes.Length; i++)
                Assert.False(ConfigurationCodec.TryRead(bytes.AsSpan(0, i), out _), $"seed {seed}, {i} bytes");
            Assert.False(ConfigurationCodec.TryRead([.. bytes, 0], out _), $"seed {seed}, one more");
        }
    }

    [Fact]
    public void WhateverTheBytesAreTheyAreRefusedOrAreTheOnlySpelling()
    {
        var random = new SeededRandom(1);
        int read = 0;
        for (int i = 0; i < 50_000; i++)
        {
            byte[] bytes = Written(new Configuration(World.Ids(1, 2, 3), World.Ids(4, 500), World.Ids(1, 2)));
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (!ConfigurationCodec.TryRead(bytes, out Configuration? configuration))
                continue;
            read++;
            Assert.Equal(bytes, Written(configuration));
        }

        Assert.True(read > 100);
    }

    private static byte[] Written(Configuration configuration)
    {
        byte[] bytes = new byte[ConfigurationCodec.Length(configuration)];
        Assert.Equal(bytes.Length, ConfigurationCodec.Write(bytes, configuration));
        return bytes;
    }

    private static MemberId[] Draw(SeededRandom random, int count)
    {
        var ids = new HashSet<MemberId>();
        while (ids.Count < count)
            ids.Add(new MemberId(1 + (random.OneIn(2) ? (ulong)random.Next(10) : random.NextUInt64() >> random.Next(64) >> 1)));
        return [.. ids];
    }
}
