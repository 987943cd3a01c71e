using System.Globalization;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Disks of a cluster's nodes that fail, with real processes.</summary>
public sealed class ClusterDiskTests : IDisposable
{
    // More than a node's joining takes.
    private const int SyncsBefore = 400;

    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-cluster-disk-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [NeedsStraceFact]
    public async Task AFailedSyncTakesOneNodeOutAndTheOthersGoOn()
    {
        using RunningServer first = await RunningServer.Start(_folder + "/1", Flags());
        string seed = PeerOf(first);
        using RunningServer second = await RunningServer.Start(_folder + "/2", Flags("--join", seed));
        string data = _folder + "/3";
        string segment = data + "/journal/00000000000000000001.segment";
        string[] under =
            ["strace", "-f", "-qq", "-o", _folder + "/trace", "-P", segment, "-e", "trace=fdatasync", "-e", $"inject=fdatasync:error=EIO:when={SyncsBefore}+"];
        AcknowledgedKeys keys = new();
        using (RunningServer third = await RunningServer.StartUnder(under, data, Flags("--join", seed)))
        {
            Tools.UntilTold(() => Answer(first).Problems.Count == 0 && Answer(first).Nodes.Count == 3, "all copies are there");
            while (!third.Errors.Contains("the disk failed", StringComparison.Ordinal))
            {
                Assert.True(keys.Count < 20_000, "the disk did not fail: " + third.Errors);
                keys.Write(Port(first));
            }

            Assert.True(keys.Count > 10, $"it failed after {keys.Count} writes");

            // Whoever asks it is served by the others, and it leads nothing.
            for (int i = 0; i < 50; i++)
                keys.Write(Port(i % 2 == 0 ? second : third));
            Tools.UntilTold(() => !Answer(third).Replicas.Any(r => r.Leads), "it leads nothing");
            Assert.Contains(Answer(third).Replicas, r => r.Disk?.Contains("the disk failed", StringComparison.Ordinal) == true);
            third.Kill();
            await third.End();
        }

        Assert.Contains(File.ReadLines(_folder + "/trace"), l => l.Contains("INJECTED", StringComparison.Ordinal));
        for (int i = 0; i < 50; i++)
            keys.Write(Port(first));
        using RunningServer again = await RunningServer.Start(data, Flags("--join", seed));
        Tools.UntilTold(() => Answer(first).Problems.Count == 0, "it has caught up");

        // Also when it is one of the two that are left.
        second.Kill();
        keys.AssertAllThere(_ => Port(again));
        keys.Write(Port(again));
    }

    private static string[] Flags(params string[] more) =>
        ["--peer", "127.0.0.1:0", "--resp-advertise", "127.0.0.1:1", "--memory-mib", "128", "--log-level", "warning", "--databases", "2", .. more];

    private static string Port(RunningServer server) => server.Address.Port.ToString(CultureInfo.InvariantCulture);

    private static NodeAnswer Answer(RunningServer server) => ClusterSurvey.AskOne(server.Address, password: null, Tools.Patience);

    private static string PeerOf(RunningServer server)
    {
        string? peer = null;
        Tools.UntilTold(() => (peer = Answer(server).Nodes.FirstOrDefault(n => n.Id == 1)?.Peer) is not null, "the first node knows where it is");
        return peer!;
    }
}
