using System.Globalization;
using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Hosting;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Stress;

/// <summary>SCAN, keyspace notifications and deadlines while others write, delete and flush.</summary>
public sealed class ScanStressTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 2)]
    public async Task EveryKeyThatStaysIsFoundByEveryScan(int loops, ulong seed)
    {
        if (!OperatingSystem.IsLinux())
            return;
        const int Staying = 250;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops };
        await using ServedNode served = await ServedNode.Start(options, Durability.None, LsmOptions.Tiny);
        IPEndPoint endPoint = served.Server.Resp[0];
        using RespClient client = new(endPoint);
        for (int i = 0; i < Staying; i++)
            Assert.Equal("OK", client.Call("SET", Key("stays", i), "v"));
        Crew crew = new();
        for (int i = 0; i < 2; i++)
        {
            SeededRandom random = new((seed * 10) + (ulong)i);
            crew.Add($"churner {i}", () => Churn(endPoint, random, crew));
        }

        crew.Add("reloader", () =>
        {
            using RespClient reloader = new(endPoint);
            while (crew.GoesOn)
            {
                for (int i = 0; i < 300; i++)
                    reloader.Call("PING");
                Assert.Equal("OK", reloader.Call("DEBUG", "RELOAD"));
            }
        });
        crew.Lead(() =>
        {
            SeededRandom random = new(seed);
            for (int round = 0; round < 25 * Crew.Scale && crew.GoesOn; round++)
            {
                HashSet<string> found = Scan(client, random);
                for (int i = 0; i < Staying; i++)
                    Assert.True(found.Contains(Key("stays", i)), $"seed {seed}, round {round}: {Key("stays", i)} was missed");
                Assert.All(found, k => Assert.True(k.StartsWith("stays", StringComparison.Ordinal) || k.StartsWith("goes", StringComparison.Ordinal), k));
            }
        });
    }

    [Fact]
    public async Task EveryChangeIsToldOnceAndInOrder()
    {
        if (!OperatingSystem.IsLinux())
            return;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = 3 };
        await using ServedNode served = await ServedNode.Start(options, Durability.Sync, LsmOptions.Tiny);
        IPEndPoint endPoint = served.Server.Resp[0];
        using RespClient listener = new(endPoint);
        Assert.Equal("OK", listener.Call("CONFIG", "SET", "notify-keyspace-events", "KEA"));
        Assert.Equal("[\"psubscribe\" \"__keyspace@0__:told*\" :1]", listener.Call("PSUBSCRIBE", "__keyspace@0__:told*"));
        Crew crew = new();
        crew.Add("churner", () => Churn(endPoint, new SeededRandom(3), crew));
        crew.Lead(() =>
        {
            using RespClient client = new(endPoint);
            List<string> expected = [];
            for (int i = 0; i < 150 * Crew.Scale && crew.GoesOn; i++)
            {
                string key = Key("told", i % 7);
                client.Call("SET", key, "1");
                client.Call("INCR", key);
                client.Call("MULTI");
                client.Call("EXPIRE", key, "1000");
                client.Call("PERSIST", key);
                client.Call("EXEC");
                client.Call("DEL", key);
                foreach (string told in new[] { "set", "incrby", "expire", "persist", "del" })
                    expected.Add($"[\"pmessage\" \"__keyspace@0__:told*\" \"__keyspace@0__:{key}\" \"{told}\"]");
                if (i % 20 == 0)
                    Assert.Equal("OK", client.Call("DEBUG", "RELOAD"));
            }

            foreach (string message in expected)
                Assert.Equal(message, listener.Receive());
        });
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    public async Task KeysLiveUntilTheirDeadlineAndNoLonger(int loops, ulong seed)
    {
        if (!OperatingSystem.IsLinux())
            return;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops };
        await using ServedNode served = await ServedNode.Start(options, Durability.None, LsmOptions.Tiny);
        IPEndPoint endPoint = served.Server.Resp[0];
        Crew crew = new();
        crew.Add("churner", () => Churn(endPoint, new SeededRandom(seed + 9), crew));
        crew.Lead(() =>
        {
            using RespClient client = new(endPoint);
            SeededRandom random = new(seed);
            Dictionary<string, long> deadlines = new(StringComparer.Ordinal);
            for (int i = 0; i < 2500 * Crew.Scale && crew.GoesOn; i++)
            {
                string key = Key("mortal", random.Next(200));
                if (random.OneIn(2))
                {
                    // By the server's clock, which is the one that counts.
                    deadlines[key] = NowMs(client) + random.Next(1, 400);
                    Assert.Equal("OK", client.Call("SET", key, "v", "PXAT", deadlines[key].ToString(CultureInfo.InvariantCulture)));
                    continue;
                }

                long deadline = deadlines.GetValueOrDefault(key);
                long before = NowMs(client);
                string reply = client.Call("GET", key);
                long after = NowMs(client);
                if (before > deadline)
                    Assert.True(reply == "nil", $"seed {seed}: {key} was read {before - deadline} ms after its deadline: {reply}");
                if (after < deadline)
                    Assert.True(reply == "\"v\"", $"seed {seed}: {key} was gone {deadline - after} ms before its deadline: {reply}");
            }

            // The sweep brings back what nobody asks for any more.
            while (client.Call("SCAN", "0", "MATCH", "mortal*", "COUNT", "100000").Contains("mortal", StringComparison.Ordinal))
                Assert.True(crew.GoesOn);
        });
    }

    private static long NowMs(RespClient client)
    {
        string[] parts = client.Call("TIME").Split('"');
        return (long.Parse(parts[1], CultureInfo.InvariantCulture) * 1000) + (long.Parse(parts[3], CultureInfo.InvariantCulture) / 1000);
    }

    private static HashSet<string> Scan(RespClient client, SeededRandom random)
    {
        HashSet<string> found = new(StringComparer.Ordinal);
        string cursor = "0";
        do
        {
            string[] parts = client.Call("SCAN", cursor, "COUNT", random.Next(1, 60).ToString(CultureInfo.InvariantCulture)).Split('"');
            cursor = parts[1];
            for (int i = 3; i < parts.Length; i += 2)
                found.Add(parts[i]);
        }
        while (cursor != "0");
        return found;
    }

    /// <summary>Writes and deletes beside what the test looks at, and empties another database.</summary>
    private static void Churn(IPEndPoint endPoint, SeededRandom random, Crew crew)
    {
        using RespClient client = new(endPoint);
        while (crew.GoesOn)
        {
            for (int i = 0; i < 20; i++)
            {
                string key = Key("goes", random.Next(400));
                if (random.OneIn(3))
                    client.Add("DEL", key);
                else
                    client.Add("SET", key, new string('y', random.Next(200)), "PX", random.Next(1, 100_000).ToString(CultureInfo.InvariantCulture));
            }

            client.Add("SELECT", "1");
            client.Add("SET", "other", "1");
            client.Add("FLUSHDB");
            client.Add("SELECT", "0");
            for (int i = 0; i < 24; i++)
                Assert.False(client.Receive().StartsWith('-'));
        }
    }

    private static string Key(string prefix, int number) => prefix + number.ToString(CultureInfo.InvariantCulture);
}
