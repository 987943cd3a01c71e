using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Commands;

public sealed class ScanTests
{
    /// <summary>What is there from the first call to the last is returned, whatever comes and goes meanwhile.</summary>
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    public void EveryKeyThatStaysIsReturned(ulong seed)
    {
        var random = new SeededRandom(seed);
        using var world = new CommandWorld();
        for (int i = 0; i < 1000; i++)
            world.Execute("SET", Name("stays", i), "v");
        for (int round = 0; round < 20; round++)
        {
            HashSet<string> seen = [];
            string cursor = "0";
            do
            {
                (cursor, string[] keys) = Scan(world, cursor, "COUNT", random.Next(1, 50).ToString(CultureInfo.InvariantCulture));
                seen.UnionWith(keys);
                for (int i = random.Next(10); i > 0; i--)
                    world.Execute(random.OneIn(2) ? "SET" : "DEL", Name(random.OneIn(2) ? "goes" : "zzz", random.Next(500)), "v");
            }
            while (cursor is not "0");
            for (int i = 0; i < 1000; i++)
                Assert.True(seen.Contains(Name("stays", i)), $"seed {seed}: {Name("stays", i)} was missed in round {round}");
        }
    }

    [Fact]
    public void KeysOfOneWalkComeOnceWhenNothingChanges()
    {
        using var world = new CommandWorld();
        for (int i = 0; i < 257; i++)
            world.Execute("SET", Name("k", i), "v");
        List<string> seen = [];
        string cursor = "0";
        int calls = 0;
        do
        {
            (cursor, string[] keys) = Scan(world, cursor);
            seen.AddRange(keys);
            calls++;
        }
        while (cursor is not "0");
        Assert.Equal(257, seen.Count);
        Assert.Equal(257, seen.Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(26, calls);
    }

    [Fact]
    public void CursorIsGoodAgainAndAgain()
    {
        using var world = new CommandWorld();
        for (int i = 0; i < 50; i++)
            world.Execute("SET", Name("k", i), "v");
        (string cursor, _) = Scan(world, "0");
        string[] first = Scan(world, cursor).Keys;
        string[] second = Scan(world, cursor).Keys;
        Assert.Equal(first, second);
        Assert.Equal(10, first.Length);
    }

    [Fact]
    public void CursorThatNobodyGaveStartsAgain()
    {
        using var world = new CommandWorld();
        for (int i = 0; i < 30; i++)
            world.Execute("SET", Name("k", i), "v");
        Assert.Equal(Scan(world, "0").Keys, Scan(world, "18446744073709551615").Keys);
    }

    [Fact]
    public void RandomKeyReachesEveryKey()
    {
        using var world = new CommandWorld();
        Assert.Equal("$-1\r\n", Encoding.Latin1.GetString(world.Execute("RANDOMKEY")));
        string[] names = ["", "a", "ab", "abc", "b", "\xff", "\xff\xff", .. Enumerable.Range(0, 30).Select(i => Name("key:000", i))];
        foreach (string name in names)
            world.Execute("SET", name, "v");
        HashSet<string> seen = [];
        // With 37 keys drawn fairly, the chance to miss one in so many draws is below 10^-20.
        for (int i = 0; i < 2000 && seen.Count < names.Length; i++)
        {
            string reply = Encoding.Latin1.GetString(world.Execute("RANDOMKEY"));
            seen.Add(reply[(reply.IndexOf('\n') + 1)..^2]);
        }

        Assert.Equal(names.Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
    }

    /// <summary>Beyond the few that are drawn fairly, at least every region is reached.</summary>
    [Fact]
    public void RandomKeyOfManyReachesEveryRegion()
    {
        using var world = new CommandWorld();
        for (int i = 0; i < 10_000; i++)
            world.Execute("SET", "key:" + i.ToString("D6", CultureInfo.InvariantCulture), "v");
        HashSet<string> regions = [];
        for (int i = 0; i < 3000; i++)
        {
            string reply = Encoding.Latin1.GetString(world.Execute("RANDOMKEY"));
            regions.Add(reply.Substring(reply.IndexOf('\n') + 1, "key:0099".Length));
        }

        Assert.Equal(100, regions.Count);
    }

    private static (string Cursor, string[] Keys) Scan(CommandWorld world, string cursor, params string[] options)
    {
        string[] parts = Encoding.Latin1.GetString(world.Execute(["SCAN", cursor, .. options])).Split("\r\n");
        Assert.Equal("*2", parts[0]);
        return (parts[2], [.. parts.Skip(4).Where((_, i) => i % 2 == 1)]);
    }

    private static string Name(string prefix, int number) => prefix + number.ToString(CultureInfo.InvariantCulture);
}
