using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Hosting;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Stress;

/// <summary>Databases move from engine to engine, on real threads and over RESP, while clients write to them.</summary>
public sealed class ConversionStressTests
{
    private const int Writers = 4;

    private static readonly string[] s_engines = ["lsm", "log", "btree"];
    // A new engine that makes a file of every few rows takes less in a second than writers who do not wait for a disk give it.
    private static readonly LsmOptions s_smallLsm = LsmOptions.Tiny with { MemTableBytes = 64 << 10, TableBytes = 32 << 10, LevelBaseBytes = 128 << 10 };

    private static readonly JournalOptions s_smallJournal = new() { FirstSegmentBytes = 16 << 10, SegmentBytes = 64 << 10 };

    [Theory]
    [InlineData(Durability.Sync, 1)]
    [InlineData(Durability.Interval, 2)]
    [InlineData(Durability.None, 3)]
    public async Task WhatWasAnsweredIsThereInEveryEngine(Durability durability, ulong seed)
    {
        if (!OperatingSystem.IsLinux())
            return;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = 2 };
        await using ServedNode served = await ServedNode.Start(
            options, durability, s_smallLsm, s_smallJournal,
            [new HashLogEngineFactory(HashLogOptions.Tiny), new BTreeEngineFactory(new BufferOptions { MemTableBytes = 64 << 10 }, new BTreeOptions { PageBytes = 4096 })]);
        IPEndPoint endPoint = served.Server.Resp[0];
        Crew crew = new();
        using StressWriters writers = new(crew, endPoint, Writers, seed);
        int done = 0;
        crew.Lead(() => done = Convert(endPoint, new SeededRandom(seed), crew));
        Assert.True(done > 2, $"{done} conversions came to their end");

        using RespClient client = new(endPoint);
        writers.VerifyAfterReload(client);
    }

    private static int Convert(IPEndPoint endPoint, SeededRandom random, Crew crew)
    {
        using RespClient client = new(endPoint);
        int done = 0;
        for (int i = 0; i < 5 * Crew.Scale && crew.GoesOn; i++)
        {
            string name = "db" + (char)('0' + random.Next(2));
            string begun;
            do
                begun = client.Call("KEYSPACE", "CONVERT", name, "engine", s_engines[random.Next(s_engines.Length)]);
            while (begun.Contains("has the engine", StringComparison.Ordinal));
            Assert.Equal("OK", begun);
            if (random.OneIn(10))
                client.Call("KEYSPACE", "CONVERT", name, "ABORT");
            string state;
            do
                state = client.Call("KEYSPACE", "CONVERT", name, "STATUS");
            while (!state.Contains("\"done\"", StringComparison.Ordinal) && !state.Contains("\"aborted\"", StringComparison.Ordinal) && !state.Contains("\"failed\"", StringComparison.Ordinal));
            Assert.DoesNotContain("\"failed\"", state, StringComparison.Ordinal);
            if (state.Contains("\"done\"", StringComparison.Ordinal))
                done++;
        }

        return done;
    }
}
