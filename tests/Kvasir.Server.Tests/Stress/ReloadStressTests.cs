using System.Globalization;
using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Hosting;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Stress;

/// <summary>
/// DEBUG RELOAD under load: everything is closed and opened again from disk at random moments, with memtables, tables and
/// journal segments so small that flushes, compactions and changes of segments are always under way.
/// </summary>
public sealed class ReloadStressTests
{
    private const int Writers = 5;

    private static readonly JournalOptions s_smallJournal = new() { FirstSegmentBytes = 16 << 10, SegmentBytes = 64 << 10 };

    [Theory]
    [InlineData(Durability.Sync, 1, 1)]
    [InlineData(Durability.Sync, 3, 2)]
    [InlineData(Durability.Interval, 2, 3)]
    [InlineData(Durability.None, 1, 4)]
    [InlineData(Durability.None, 3, 5)]
    public async Task WhatWasAnsweredIsThereAfterEveryReload(Durability durability, int loops, ulong seed)
    {
        if (!OperatingSystem.IsLinux())
            return;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops };
        await using ServedNode served = await ServedNode.Start(options, durability, LsmOptions.Tiny, s_smallJournal);
        IPEndPoint endPoint = served.Server.Resp[0];
        Crew crew = new();
        using StressWriters writers = new(crew, endPoint, Writers, seed);
        crew.Add("flusher", () => FlushAndSwap(endPoint, new SeededRandom(seed + 77), crew));
        crew.Lead(() => Reload(endPoint, new SeededRandom(seed), crew));

        using RespClient client = new(endPoint);
        writers.VerifyAfterReload(client);
        long increments = writers.SharedIncrements;
        Assert.Equal(increments == 0 ? "nil" : $"\"{increments.ToString(CultureInfo.InvariantCulture)}\"", client.Call("GET", "shared"));
        Assert.True(writers.Commands > 200, "the writers hardly came to work");
    }

    private static void Reload(IPEndPoint endPoint, SeededRandom random, Crew crew)
    {
        using RespClient client = new(endPoint);
        for (int i = 0; i < 25 * Crew.Scale && crew.GoesOn; i++)
        {
            // The others' pace, not the clock, decides how much happens between two reloads.
            for (int pings = random.Next(60); pings > 0; pings--)
                Assert.Equal("PONG", client.Call("PING"));
            Assert.Equal("OK", client.Call("DEBUG", "RELOAD"));
        }
    }

    /// <summary>Alone with databases 2 and 3: empties them, swaps them, and counts their keys.</summary>
    private static void FlushAndSwap(IPEndPoint endPoint, SeededRandom random, Crew crew)
    {
        using RespClient client = new(endPoint);
        Dictionary<string, string>[] model = [new(StringComparer.Ordinal), new(StringComparer.Ordinal)];
        int database = 0;
        Assert.Equal("OK", client.Call("SELECT", "2"));
        while (crew.GoesOn)
        {
            string key = "k" + random.Next(100).ToString(CultureInfo.InvariantCulture);
            switch (random.Next(20))
            {
                case 0:
                    Assert.Equal("OK", client.Call("SWAPDB", "2", "3"));
                    (model[0], model[1]) = (model[1], model[0]);
                    break;
                case 1:
                    Assert.Equal("OK", client.Call("FLUSHDB"));
                    model[database].Clear();
                    break;
                case 2 or 3:
                    database = 1 - database;
                    Assert.Equal("OK", client.Call("SELECT", (2 + database).ToString(CultureInfo.InvariantCulture)));
                    break;
                case 4 or 5:
                    Assert.Equal(":" + model[database].Count.ToString(CultureInfo.InvariantCulture), client.Call("DBSIZE"));
                    break;
                case 6 or 7 or 8:
                    Assert.Equal(model[database].Remove(key) ? ":1" : ":0", client.Call("DEL", key));
                    break;
                case 9 or 10 or 11:
                    Assert.Equal(model[database].TryGetValue(key, out string? value) ? $"\"{value}\"" : "nil", client.Call("GET", key));
                    break;
                default:
                    model[database][key] = "v" + random.Next(1_000_000).ToString(CultureInfo.InvariantCulture);
                    Assert.Equal("OK", client.Call("SET", key, model[database][key]));
                    break;
            }
        }
    }
}
