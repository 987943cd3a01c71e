using System.Diagnostics;
using System.Text.Json;

namespace Kvasir.Cli.Tests;

public sealed class EngineBenchTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("lsm")]
    [InlineData("log")]
    [InlineData("btree")]
    [InlineData("btree", "--positional-reads")]
    public async Task WorkloadsRunOneAfterTheOtherAndCountWhatTheyDo(string engine, params string[] flags)
    {
        // The log has no order to seek in.
        string all = $"fillseq,fillrandom,overwrite,readrandom,readmissing,{(engine == "log" ? "" : "seekrandom,")}readwhilewriting,deleterandom";
        JsonElement[] reports = await Bench(["--engine", engine, "--workload", all, "--keys", "2000", "--threads", "2", "--settle", .. flags]);
        Assert.Equal(all.Split(','), reports.Select(r => r.GetProperty("workload").GetString()));
        foreach (JsonElement report in reports)
        {
            string name = report.GetProperty("workload").GetString()!;
            Assert.Equal(4000, report.GetProperty("operations").GetInt64());
            Assert.Equal(4000, report.GetProperty("latency").GetProperty("count").GetInt64());

            // Every number of the key space was written by fillseq.
            long found = name is "readrandom" or "seekrandom" or "readwhilewriting" ? 4000 : 0;
            Assert.True(report.GetProperty("found").GetInt64() == found, $"{name} found {report.GetProperty("found")}");
            if (name.StartsWith("fill", StringComparison.Ordinal))
                Assert.Equal(4000 * 116, report.GetProperty("user_bytes").GetInt64());
        }
    }

    [Fact]
    public async Task KeysInMemoryAreCounted()
    {
        JsonElement[] reports = await Bench("--engine", "log", "--workload", "fillseq", "--keys", "2000", "--index-mib", "4");
        Assert.Equal(2000, reports[0].GetProperty("estimated_keys").GetInt64());
        Assert.InRange(reports[0].GetProperty("index_bytes").GetInt64(), 2000 * 12, 4 << 20);
    }

    [Theory]
    [InlineData("keeps none", "--engine", "log", "--workload", "fillseq,seekrandom")]
    [InlineData("--index-mib is for the engine log", "--workload", "fillseq", "--index-mib", "64")]
    [InlineData("--positional-reads is for the engine btree", "--engine", "log", "--workload", "fillseq", "--positional-reads")]
    public async Task WhatAnEngineLacksIsRefused(string reason, params string[] flags) =>
        Assert.Contains(reason, (await KvasirProcess.Run(["bench", "engine", .. flags])).AssertUsageError(), StringComparison.Ordinal);

    [Fact]
    public async Task AStoreIsUsedAgainOnlyWhenAskedFor()
    {
        string store = Path.Combine(_folder, "store");
        await Bench("--workload", "fillrandom", "--keys", "1000", "--dir", store, "--sync", "--batch", "100");
        Outcome refused = await KvasirProcess.Run("bench", "engine", "--workload", "fillrandom", "--dir", store);
        Assert.Contains("is not empty", refused.AssertUsageError(), StringComparison.Ordinal);
        JsonElement[] read = await Bench("--workload", "readrandom", "--keys", "1000", "--dir", store, "--use-existing");
        Assert.InRange(read[0].GetProperty("found").GetInt64(), 500, 750);
    }

    [Fact]
    public async Task ATermSignalEndsTheRunWithItsResult()
    {
        using Process process = KvasirProcess.Start(
            "bench", "engine", "--workload", "fillrandom", "--keys", "1000", "--duration", "3600", "--json", "--dir", Path.Combine(_folder, "long"));

        // Running for certain once its store has a journal.
        while (!Directory.Exists(Path.Combine(_folder, "long", "journal")) && !process.HasExited)
            await Task.Yield();
        using (Process kill = Process.Start("kill", ["-TERM", process.Id.ToString()]))
            await kill.WaitForExitAsync();
        Outcome outcome = await KvasirProcess.Finish(process);
        outcome.AssertInterrupted(143);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement[0];
        Assert.True(report.GetProperty("interrupted").GetBoolean());
    }

    private static async Task<JsonElement[]> Bench(params string[] flags)
    {
        Outcome outcome = (await KvasirProcess.Run(["bench", "engine", "--json", .. flags])).AssertSuccess();
        return [.. JsonDocument.Parse(outcome.Output).RootElement.EnumerateArray()];
    }
}
