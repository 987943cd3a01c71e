using System.Diagnostics;
using System.Text.Json;
using Kvasir.Cli.Administration;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>A keyspace of a cluster of real processes moves to another engine.</summary>
public sealed class ClusterConversionTests : IDisposable
{
    private const int Before = 2000;
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-cluster-convert-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task ItMovesUnderLoadThoughANodeDiesInTheMidst()
    {
        using (RunningCluster cluster = await RunningCluster.Start(_folder))
        {
            string[] pairs = [.. Enumerable.Range(0, Before).SelectMany(static i => new[] { $"{{{i % 8}}}key:{i}", $"value {i}" })];
            foreach (string[] slot in pairs.Chunk(2).GroupBy(static p => p[0][..3], StringComparer.Ordinal).Select(static g => g.SelectMany(static p => p).ToArray()))
                Assert.Equal("OK", cluster.Insist(0, ["MSET", .. slot]));

            Assert.Equal("OK", cluster.Insist(1, "KEYSPACE", "CONVERT", "db0", "engine", "btree"));
            Tools.Run("kill", "-KILL", cluster.ProcessId(2));
            AcknowledgedKeys meanwhile = new();
            Tools.Until(
                () =>
                {
                    // What is acknowledged while copies have different engines is as safe as ever.
                    for (int i = 0; i < 20; i++)
                        meanwhile.Write(cluster.Port(i % 2));
                    return Status(cluster, 0) is { CopiesDone: 8 } status && status.WaitsFor.Any(static w => w.Contains("on node 3: nothing is heard of it", StringComparison.Ordinal));
                },
                "all copies that are there have moved");
            Assert.Equal("waiting", Status(cluster, 1)!.State);

            using Process again = KvasirProcess.Start("server", "--config", $"{_folder}/node-3.conf", "--json");
            Assert.NotNull(await again.StandardOutput.ReadLineAsync());
            Tools.Until(
                () =>
                {
                    meanwhile.Write(cluster.Port(0));
                    return Status(cluster, 0) is { IsDone: true };
                },
                "all copies have moved");
            Tools.UntilTold(() => KvasirProcess.Run("keyspace", "list", "--json", "-p", cluster.Port(2)).GetAwaiter().GetResult() is { ExitCode: 0 } list
                && JsonDocument.Parse(list.Output).RootElement.EnumerateArray().First().GetProperty("engine").GetString() == "btree", "every node knows");
            AssertAllThere(cluster, meanwhile);
            Outcome back = (await KvasirProcess.Run("keyspace", "convert", "db1", "--engine", "log", "--port", cluster.Port(1))).AssertSuccess();
            Assert.Contains("db1 has the engine log", back.Output, StringComparison.Ordinal);
            await cluster.Terminate();

            foreach (int node in new[] { 1, 2, 3 })
                (await KvasirProcess.Run("verify", $"{_folder}/node-{node}")).AssertSuccess();
            using RunningCluster next = await RunningCluster.Start(_folder);
            AssertAllThere(next, meanwhile);
            await next.Terminate();
        }
    }

    private static void AssertAllThere(RunningCluster cluster, AcknowledgedKeys meanwhile)
    {
        for (int i = 0; i < Before; i += 97)
            Assert.Equal($"value {i}", cluster.Insist(i % 3, "GET", $"{{{i % 8}}}key:{i}"));
        meanwhile.AssertAllThere(i => cluster.Port(i % 3));
    }

    /// <summary>Null where there is none.</summary>
    private static ConversionAnswer? Status(RunningCluster cluster, int node)
    {
        using RespConnection connection = cluster.Connect(node);
        RespReply reply = connection.Call("KEYSPACE", "CONVERT", "db0", "STATUS");
        return reply.IsAggregate ? ConversionAnswer.Of(reply) : null;
    }
}
