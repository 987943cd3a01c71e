using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.Bench;
using Kvasir.Cli.Bench.Servers;
using Kvasir.Primitives;

namespace Kvasir.Cli.Tests;

public sealed class ServerBenchTests
{
    public static TheoryData<string> Workloads => [.. LoadWorkload.Names];

    [Theory]
    [MemberData(nameof(Workloads))]
    public async Task EveryWorkloadDoesExactlyWhatWasAsked(string workload)
    {
        using var server = new SmallServer();
        JsonElement report = await Bench(server, "--workload", workload, "--requests", "2000", "--keys", "100",
            "--value-size", "32", "--clients", "5", "--pipeline", "7");
        Assert.Equal(2000, report.GetProperty("requests").GetInt64());
        Assert.Equal(0, report.GetProperty("errors").GetInt64());
        Assert.Equal("closed", report.GetProperty("mode").GetString());
        Assert.Equal(2000, report.GetProperty("latency").EnumerateObject().Sum(o => o.Value.GetProperty("count").GetInt64()));
        if (workload.StartsWith("ycsb", StringComparison.Ordinal))
        {
            Assert.Superset(Enumerable.Range(0, 100).Select(i => $"key:{i:D12}").ToHashSet(), server.Keys.ToHashSet());
            if (workload != "ycsb-d")
                Assert.Equal(0, report.GetProperty("misses").GetInt64());
        }
    }

    [Fact]
    public async Task AnOpenLoopGoesOnSendingWhileTheServerIsSilent()
    {
        // A closed loop of two clients would wait for the first replies for ever.
        using var server = new SmallServer { WithholdUntil = 500 };
        JsonElement report = await Bench(server, "--workload", "set", "--requests", "1000", "--keys", "100",
            "--clients", "2", "--rate", "5000");
        Assert.Equal("open", report.GetProperty("mode").GetString());
        Assert.Equal(1000, report.GetProperty("requests").GetInt64());

        // The first was due 499 others earlier than the reply that ended the silence: a tenth of a second at this rate.
        Assert.True(report.GetProperty("latency").GetProperty("update").GetProperty("max_us").GetDouble() >= 99_000);
    }

    [Fact]
    public async Task ErrorsAreCountedAndShownAndEndWithOne()
    {
        using var server = new SmallServer { Password = "sesame" };
        Outcome outcome = await KvasirProcess.Run("bench", "server", "--port",
            server.Port.ToString(CultureInfo.InvariantCulture), "--password", "wrong", "--duration", "1");
        Assert.Contains("WRONGPASS", outcome.AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public void ZipfianRanksFollowTheLaw()
    {
        const int items = 1000;
        const int draws = 200_000;
        var zipfian = new Zipfian(items);
        var random = new SeededRandom(42);
        int[] counts = new int[items];
        for (int i = 0; i < draws; i++)
            counts[zipfian.Rank(random)]++;
        double zeta = Enumerable.Range(1, items).Sum(i => Math.Pow(i, -Zipfian.YcsbTheta));

        // Gray's method is exact for the first two ranks; four standard deviations allow for chance.
        for (int rank = 0; rank < 2; rank++)
        {
            double p = Math.Pow(rank + 1, -Zipfian.YcsbTheta) / zeta;
            Assert.InRange(counts[rank], (draws * p) - (4 * Math.Sqrt(draws * p)), (draws * p) + (4 * Math.Sqrt(draws * p)));
        }

        Assert.InRange(counts[..100].Sum() / (double)draws, 0.65, 0.75);
        Assert.True(counts[^1] < counts[0] / 100);
    }

    [Fact]
    public void ValuesAreHalfCompressible()
    {
        var data = new CompressibleData(1, 0.5, 100);
        int place = 0;
        for (int i = 0; i < 20_000; i++)
        {
            ReadOnlySpan<byte> value = data.Next(ref place, 100);
            Assert.Equal(100, value.Length);

            // Fifty characters, repeated once, from whatever offset it was cut.
            if (place % 100 == 0)
                Assert.True(value[..50].SequenceEqual(value[50..]));
        }
    }

    private static async Task<JsonElement> Bench(SmallServer server, params string[] flags)
    {
        Outcome outcome = await KvasirProcess.Run(
            ["bench", "server", "--json", "--port", server.Port.ToString(CultureInfo.InvariantCulture), .. flags]);
        outcome.AssertSuccess();
        Assert.Equal("", outcome.Error);
        return JsonDocument.Parse(outcome.Output).RootElement;
    }
}
